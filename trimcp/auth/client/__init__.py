"""Gets tokens for a client: discovery, registration, flows, and the hook that sends the token."""
