"""A protected server and the development authorization server, until the end of input; prints the server's URL."""

import trio

from tests.auth.server.signing import protected
from trimcp.auth.testing import DevelopmentClient

CALLBACK = "http://127.0.0.1/callback"
BY_HAND = DevelopmentClient(client_id="by-hand", redirect_uris=[CALLBACK])
WITH_SECRET = DevelopmentClient(client_id="confidential", client_secret="s3cret of %d", redirect_uris=[CALLBACK])


async def main() -> None:
    """Serve both."""
    with trio.CancelScope() as scope:
        async with protected(
            patience=float("inf"), idp={"device_interval": 0, "clients": [BY_HAND, WITH_SECRET]}
        ) as at:
            print(at.url, flush=True)
            await trio.to_thread.run_sync(input, abandon_on_cancel=True)
            scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(main)
    except* EOFError:
        pass
