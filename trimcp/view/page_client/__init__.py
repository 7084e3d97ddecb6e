"""The clients of pages: each page of the view may have one client, by which a person tries the server.

`page_clients` opens and ends them, and passes on what a page asks for. `page_client` is one of them. `questions` are
what the server asks of the person, and `outbox` is the stream to the page.
"""
