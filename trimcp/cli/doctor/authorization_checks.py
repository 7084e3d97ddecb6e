"""Checks of authorization over HTTP: challenges, metadata of the resource and of its authorization servers, scopes.

Requests go without a token or with one that is invalid, so most of these checks need none. The last ones are about the
token that is stored or was given: whether it is of this server, and what is refused because it lacks a scope. The
doctor calls no tool, so only the handshake, prompts and resources can show that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trimcp.auth.challenges import Challenge, token_challenge
from trimcp.cli.doctor.examination import Examination, Failed, NotApplicable, Rules
from trimcp.cli.doctor.http_checks import probe
from trimcp.cli.doctor.wire import Answer
from trimcp.cli.stored_sign_in import is_installed, token_store
from trimcp.errors import TrimcpError
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.auth.client.discovery import Discovery, ProtectedResource
    from trimcp.auth.client.http import AuthorizationHttp
    from trimcp.auth.client.known_server import BoundTokens

CHECKS: Final = Rules()
INVALID: Final = "Bearer doctor-invalid-token"
OFFLINE: Final = "offline_access"
INSUFFICIENT: Final = "insufficient_scope"
MOST_READS: Final = 5
"""Resources, and prompts without arguments, that are fetched to find one that the token has no scope for."""
PAGES: Final[dict[Era, tuple[str, str, str]]] = {
    Era.LEGACY: ("basic/authorization", "basic/authorization", "basic/authorization"),
    Era.MODERN: (
        "basic/authorization",
        "basic/authorization/authorization-server-discovery",
        "basic/authorization/security-considerations",
    ),
}
"""The pages: of the whole, of discovery, and of security."""


async def _refusal(examination: Examination) -> Answer:
    """Return the answer to a request without a token.

    Raises:
        NotApplicable: the server wants no token.
    """
    answer = await examination.wire.ask(probe(examination), headers={"authorization": None})
    if answer.message is not None and answer.status == 200:  # also by an error: then it was not about the token
        raise NotApplicable("the server answers without a token")
    return answer


async def _challenge(examination: Examination) -> Challenge | None:
    refusal = await _refusal(examination)
    return token_challenge(refusal.fields.get("www-authenticate"))


@asynccontextmanager
async def _discovery(examination: Examination) -> AsyncIterator[tuple[Discovery, AuthorizationHttp]]:
    if not is_installed():
        raise NotApplicable("the extra auth of trimcp is not installed")
    from trimcp.auth.client.discovery import Discovery
    from trimcp.auth.client.http import open_authorization_http

    url = examination.http.url
    async with open_authorization_http(server_url=url) as http:
        version = examination.revision.version
        yield Discovery(http, url, protocol_version=version, strict_resource=False), http


async def _resource(discovery: Discovery, challenge: Challenge | None) -> ProtectedResource:
    named = None if challenge is None else challenge.parameters.get("resource_metadata")
    try:
        found = await discovery.protected_resource(named)
    except TrimcpError as exc:
        raise Failed(str(exc)) from exc
    if found is None:
        raise Failed("there is none where the challenge says, nor at the well-known URIs")
    return found


async def _refused_with_401(examination: Examination) -> None:
    answer = await _refusal(examination)
    if answer.status != 401:
        raise Failed(f"it was answered by {answer}")


async def _invalid_token(examination: Examination) -> None:
    await _refusal(examination)
    answer = await examination.wire.ask(probe(examination), headers={"authorization": INVALID})
    if answer.status != 401:
        raise Failed(f"it was answered by {answer}")


async def _scopes_are_named(examination: Examination) -> None:
    challenge = await _challenge(examination)
    if challenge is None:
        raise Failed("WWW-Authenticate has no challenge for a Bearer token")
    if not challenge.parameters.get("scope"):
        raise Failed("WWW-Authenticate has no scope")


async def _metadata(examination: Examination) -> None:
    challenge = await _challenge(examination)
    async with _discovery(examination) as (discovery, _):
        await _resource(discovery, challenge)


async def _named_metadata(examination: Examination) -> None:
    challenge = await _challenge(examination)
    named = None if challenge is None else challenge.parameters.get("resource_metadata")
    if named is None:
        raise NotApplicable("the challenge names no resource_metadata")
    async with _discovery(examination) as (_, http):
        try:
            response = await http.get_metadata(named, "protected resource metadata")
        except TrimcpError as exc:
            raise Failed(str(exc)) from exc
    if response.status != 200 or response.json_object() is None:
        raise Failed(f"{named} was answered by HTTP {response.status}, without a JSON object")


async def _authorization_servers(examination: Examination) -> None:
    challenge = await _challenge(examination)
    async with _discovery(examination) as (discovery, _):
        for issuer in (await _resource(discovery, challenge)).authorization_servers:
            try:
                await discovery.authorization_server(issuer)
            except TrimcpError as exc:
                raise Failed(str(exc)) from exc


async def _pkce(examination: Examination) -> None:
    challenge = await _challenge(examination)
    async with _discovery(examination) as (discovery, _):
        for issuer in (await _resource(discovery, challenge)).authorization_servers:
            try:
                found = await discovery.authorization_server(issuer)
            except TrimcpError as exc:
                raise NotApplicable(str(exc)) from exc
            if not found.supports_s256:
                raise Failed(f"{issuer} has no S256 in code_challenge_methods_supported")


async def _no_offline_access(examination: Examination) -> None:
    challenge = await _challenge(examination)
    if challenge is not None and OFFLINE in challenge.parameters.get("scope", "").split():
        raise Failed("the challenge has it")
    async with _discovery(examination) as (discovery, _):
        if OFFLINE in ((await _resource(discovery, challenge)).scopes_supported or ()):
            raise Failed("scopes_supported has it")


async def _stored(examination: Examination) -> BoundTokens:
    """Return the tokens that `trimcp login` has stored for the server.

    Raises:
        NotApplicable: there are none, or another token is used.
    """
    if examination.http.has_token:
        raise NotApplicable("a token was given, so the stored sign-in is not used")
    store = token_store() if is_installed() else None
    if store is not None and Path(store.directory).exists():  # noqa: ASYNC240 - one look at a local path
        from trimcp.auth.client.known_server import stored_tokens
        from trimcp.auth.client.urls import http_url

        found = await stored_tokens(store, http_url(examination.http.url))
        if found is not None:
            return found
    raise NotApplicable("no sign-in is stored for the server")


async def _stored_sign_in(examination: Examination) -> None:
    binding = (await _stored(examination)).binding
    answer = await examination.wire.ask(probe(examination))  # first, since it may renew the token
    if answer.status == 401:
        raise Failed("the server refuses the token that is stored: trimcp login again")
    if not binding.has_metadata:
        return  # of 2025-03-26
    challenge = await _challenge(examination)
    async with _discovery(examination) as (discovery, _):
        resource = await _resource(discovery, challenge)
    if binding.issuer not in resource.authorization_servers:
        named = ", ".join(resource.authorization_servers)
        raise Failed(f"it is of {binding.issuer}, and the server names {named}: trimcp login again")
    if binding.resource != resource.resource:
        raise Failed(f"it is for {binding.resource}, and the server is {resource.resource}: trimcp login again")


async def _scopes_are_asked_for(examination: Examination) -> None:
    if not examination.http.has_token:
        await _stored(examination)
    refused = [answer for answer in await _fetched(examination) if answer.status == 403]
    if not refused:
        raise NotApplicable("the token has the scopes of all that was tried, and no tool is called")
    for answer in refused:
        challenge = token_challenge(answer.fields.get("www-authenticate"))
        if challenge is None:
            raise Failed(f"{answer}: WWW-Authenticate has no challenge for a Bearer token")
        if challenge.parameters.get("error") != INSUFFICIENT:
            raise Failed(f'{answer}: the challenge has error="{challenge.parameters.get("error", "")}"')
        for name in ("scope", "resource_metadata"):
            if not challenge.parameters.get(name):
                raise Failed(f"{answer}: the challenge has no {name}")


async def _fetched(examination: Examination) -> list[Answer]:
    """Return the answers to all that can be tried without effects, with the token."""
    found = [await examination.wire.ask(probe(examination))]
    resources = await _listed(examination, "resources")
    prompts = [prompt for prompt in await _listed(examination, "prompts") if not prompt.get("arguments")]
    found += [await examination.ask("resources/read", {"uri": each.get("uri")}) for each in resources[:MOST_READS]]
    found += [await examination.ask("prompts/get", {"name": each.get("name")}) for each in prompts[:MOST_READS]]
    return found


async def _listed(examination: Examination, feature: str) -> list[Mapping[str, Any]]:
    if feature not in examination.capabilities:
        return []
    try:
        return await examination.items(f"{feature}/list", feature)
    except Failed:  # for which other checks are
        return []


for _era, (_page, _finding, _security) in PAGES.items():
    _rule = CHECKS.rule
    _rule(_page, "a request without a token is refused with 401", era=_era, over="http")(_refused_with_401)
    _rule(_page, "an invalid token is refused with 401", era=_era, over="http")(_invalid_token)
    _rule(_page, "the challenge names the scopes", must=False, era=_era, over="http")(_scopes_are_named)
    _rule(_finding, "the metadata of the protected resource are found", era=_era, over="http")(_metadata)
    _rule(_finding, "resource_metadata of the challenge leads to metadata", era=_era, over="http")(_named_metadata)
    _rule(_finding, "each authorization server has metadata", era=_era, over="http")(_authorization_servers)
    _rule(_security, "each authorization server supports PKCE with S256", era=_era, over="http")(_pkce)
    _rule(_page, "the stored sign-in is of this server, and accepted", must=False, era=_era, over="http")(
        _stored_sign_in
    )
    _rule(_page, "what needs another scope is refused with 403, which names it", must=False, era=_era, over="http")(
        _scopes_are_asked_for
    )
CHECKS.rule(PAGES[Era.MODERN][0], "no offline_access in the scopes", must=False, era=Era.MODERN, over="http")(
    _no_offline_access
)
