"""Checks of authorization over HTTP: challenges, metadata of the resource and of its authorization servers, scopes.

Requests go without a token or with one that is invalid, so these checks need none. Whether a token lacks a scope shows
in calls alone, which the doctor does not make.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from trimcp.auth.challenges import Challenge, token_challenge
from trimcp.cli.doctor.examination import Examination, Failed, NotApplicable, Rules
from trimcp.cli.doctor.http_checks import probe
from trimcp.cli.doctor.wire import Answer
from trimcp.cli.stored_sign_in import is_installed
from trimcp.errors import TrimcpError
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.auth.client.discovery import Discovery, ProtectedResource
    from trimcp.auth.client.http import AuthorizationHttp

CHECKS: Final = Rules()
INVALID: Final = "Bearer doctor-invalid-token"
OFFLINE: Final = "offline_access"
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
        raise NotApplicable("a package is missing: pip install 'trimcp[auth]'")
    from trimcp.auth.client.discovery import Discovery
    from trimcp.auth.client.http import open_authorization_http, reach_from

    url = examination.http.url
    async with open_authorization_http(reach=await reach_from(url)) as http:
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


for _era, (_page, _finding, _security) in PAGES.items():
    _rule = CHECKS.rule
    _rule(_page, "a request without a token is refused with 401", era=_era, over="http")(_refused_with_401)
    _rule(_page, "an invalid token is refused with 401", era=_era, over="http")(_invalid_token)
    _rule(_page, "the challenge names the scopes", must=False, era=_era, over="http")(_scopes_are_named)
    _rule(_finding, "the metadata of the protected resource are found", era=_era, over="http")(_metadata)
    _rule(_finding, "resource_metadata of the challenge leads to metadata", era=_era, over="http")(_named_metadata)
    _rule(_finding, "each authorization server has metadata", era=_era, over="http")(_authorization_servers)
    _rule(_security, "each authorization server supports PKCE with S256", era=_era, over="http")(_pkce)
CHECKS.rule(PAGES[Era.MODERN][0], "no offline_access in the scopes", must=False, era=Era.MODERN, over="http")(
    _no_offline_access
)
