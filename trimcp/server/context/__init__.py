"""The contexts that the functions of a server get, and the questions that they ask the client."""
