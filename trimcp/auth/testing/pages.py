"""What the endpoints of the development authorization server share: forms, pages, and requests that wait for a user."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from trimcp.auth.testing.clients import DevelopmentClient, OAuthError
from trimcp.http.server.routes import HttpReply

NO_STORE: Final = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
_BUTTONS: Final = (
    '<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button>'
)


@attrs.define(kw_only=True)
class Asked:
    """An authorization request that was validated, or a device that waits."""

    client: DevelopmentClient
    redirect_uri: str = ""
    state: str | None = None
    code_challenge: str = ""
    resource: str | None = None
    scopes: tuple[str, ...] = ()
    until: float = 0.0
    verdict: bool | None = None
    polled_at: float = float("-inf")


def read_form(encoded: bytes) -> dict[str, str]:
    """Return the parameters of a form or a query.

    Raises:
        OAuthError: one comes twice, or they cannot be read.
    """
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=False, strict_parsing=False, max_num_fields=64)
    except ValueError:
        raise OAuthError("invalid_request", "Malformed parameters") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OAuthError("invalid_request", "A parameter comes twice")
    return found


def read_resource(form: Mapping[str, str]) -> str | None:
    """Return the resource that tokens are asked for; None if none is named.

    Raises:
        OAuthError: it is no absolute URI.
    """
    resource = form.get("resource")
    if resource is not None and (not urlsplit(resource).scheme or "#" in resource):
        raise OAuthError("invalid_target", "The resource must be an absolute URI without a fragment")
    return resource


def page(text: str, ticket: str | None = None) -> HttpReply:
    """Return a page for the user; with a ticket, one that asks."""
    form = ""
    if ticket is not None:
        field = f'<input type="hidden" name="ticket" value="{html.escape(ticket)}">'
        form = f'<form method="post">{field}{_BUTTONS}</form>'
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Development authorization server</title>'
        f"<body><h1>For tests only</h1><p>{html.escape(text)}</p>{form}</body></html>"
    )
    policy = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": "default-src 'none'"}
    return HttpReply(body, headers={**policy, "X-Frame-Options": "DENY", "Cache-Control": "no-store"})
