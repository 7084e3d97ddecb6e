"""The client over HTTP: `connect` opens a `session`, which has an `exchange` for each call, and actors beside them.

`http_client` is the interface of the HTTP clients below; `pooled_client` and `httpx_client` implement it.
"""
