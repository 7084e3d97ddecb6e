"""The official TypeScript client signs in to a protected server of trimcp's."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.auth.server.minting import notes
from tests.auth.server.signing import protected
from tests.interop.node_peers import package
from trimcp import auth
from trimcp.auth.testing import DevelopmentAuthorizationServer

pytestmark = pytest.mark.interop

SDK: Final = ("@modelcontextprotocol/sdk", "1.32.2")
PROGRAM: Final = Path(__file__).with_name("typescript_sign_in.mjs")


class Clock:
    """The time of the server and of the authorization server."""

    hours = 0

    def __call__(self) -> float:
        return time.time() + 3600 * self.hours


async def ran(*command: str) -> Any:
    """The JSON that a program prints."""
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


DOORS = pytest.mark.parametrize("kind", ["serve_http", "serve_hypercorn"])


@DOORS
async def test_it_signs_in_and_steps_up(kind: str) -> None:
    node, folder = package(*SDK)
    # With a refresh token it would refresh in place of the step-up, and give up.
    async with protected(kind, idp={"refreshes": False}, patience=60) as at:
        found = await ran(node, str(PROGRAM), str(folder), at.url, json.dumps(["whoami", "write", "whoami"]))
        who, written, more = found["results"]
        assert who.startswith(f"{at.idp.issuer} ada ")
        assert who.endswith(" notes")
        assert written == "written"
        assert more.endswith(" notes notes:write")
        assert found["unexpected"] == []
        assert [set(scope.split()) for scope in found["scopes"]] == [{"notes"}, {"notes", "notes:write"}]
        assert _asked(at.idp) == {"register": 1, "authorize": 2, "token": 2}


@DOORS
async def test_it_renews_an_expired_token(kind: str) -> None:
    node, folder = package(*SDK)
    clock, server = Clock(), notes()

    @server.tool
    async def wait() -> str:
        clock.hours += 2
        return "two hours are over"

    def verifier(issuer: str, url: str) -> auth.JwtVerifier:
        return auth.JwtVerifier(issuer=issuer, audience=url, clock=clock)

    async with protected(kind, server=server, make_verifier=verifier, idp={"clock": clock}, patience=60) as at:
        found = await ran(node, str(PROGRAM), str(folder), at.url, json.dumps(["whoami", "wait", "whoami"]))
        who, waited, again = found["results"]
        assert who.startswith(f"{at.idp.issuer} ada ")
        assert (waited, again) == ("two hours are over", who)
        assert _asked(at.idp) == {"register": 1, "authorize": 1, "token": 2}


def _asked(idp: DevelopmentAuthorizationServer) -> dict[str, int]:
    """How often each endpoint was asked."""
    counts = Counter(asked.rpartition("/")[2] for asked in idp.requests)
    return {name: counts[name] for name in ("register", "authorize", "token")}
