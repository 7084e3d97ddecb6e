"""A development authorization server, FOR TESTS AND EXAMPLES ONLY: it agrees to everything, for a made-up user.

async with trio.open_nursery() as nursery:
    issuer = await nursery.start(trimcp.auth.testing.DevelopmentAuthorizationServer().serve)
"""

from trimcp.auth.testing.authorization_server import DevelopmentAuthorizationServer
from trimcp.auth.testing.clients import DevelopmentClient

__all__ = ["DevelopmentAuthorizationServer", "DevelopmentClient"]
