"""The client over HTTP: a session whose messages go out by POST, and come back by many streams."""
