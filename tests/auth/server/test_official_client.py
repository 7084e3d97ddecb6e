"""The official Python client signs in to a protected server of trimcp's, in both eras."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.auth.server.signing import agree, protected

mcp = pytest.importorskip("mcp")
oauth = pytest.importorskip("mcp.client.auth")
shared = pytest.importorskip("mcp.shared.auth")
transport = pytest.importorskip("mcp.client.streamable_http")
pytestmark = [
    pytest.mark.interop,
    # It leaves generators of its HTTP client unfinished, which Trio says.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Storage:
    """Keeps tokens in memory."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


def provider(url: str) -> Any:
    """The official client's authorization, with a person who agrees at once."""
    seen: list[str] = []

    async def redirect(target: str) -> None:
        seen.append(await agree(target))

    async def callback() -> Any:
        query = {name: values[0] for name, values in parse_qs(urlsplit(seen[-1]).query).items()}
        return oauth.AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

    metadata = shared.OAuthClientMetadata(
        client_name="official", redirect_uris=["http://localhost:3030/callback"], scope=None
    )
    return oauth.OAuthClientProvider(
        server_url=url,
        client_metadata=metadata,
        storage=Storage(),
        redirect_handler=redirect,
        callback_handler=callback,
    )


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("kind", ["serve_http", "serve_hypercorn"])
async def test_it_signs_in_and_steps_up(kind: str, mode: str) -> None:
    async with protected(kind) as at, httpx2.AsyncClient(auth=provider(at.url)) as http:
        opening = transport.streamable_http_client(at.url, http_client=http)
        async with mcp.Client(opening, mode=mode) as client:
            result = await client.call_tool("whoami")
            assert result.content[0].text.startswith(f"{at.idp.issuer} ada ")
            assert result.content[0].text.endswith(" notes")
            assert (await client.call_tool("write")).content[0].text == "written"
            assert (await client.call_tool("whoami")).content[0].text.endswith(" notes notes:write")
