"""The ASGI binding: serves the endpoint inside any ASGI server that runs on Trio."""
