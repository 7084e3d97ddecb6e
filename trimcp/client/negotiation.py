"""Finding out what a server speaks, on a stream: one probe, and the handshake if it must be.

basic/versioning and basic/transports/stdio, "Backward Compatibility", of 2026-07-28;
basic/lifecycle before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import codec_for
from trimcp.errors import ExchangeFailed, InvalidPayload, RequestFailed, RequestTimedOut, SessionFailed
from trimcp.observability import events, log
from trimcp.protocol.lifecycle import Step
from trimcp.session.session import Session
from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities
from trimcp.types.jsonrpc import HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY, UNSUPPORTED_PROTOCOL_VERSION
from trimcp.types.lifecycle import DiscoverResult, InitializeRequestParams, InitializeResult
from trimcp.types.logging import LoggingLevel
from trimcp.types.metadata import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    PROTOCOL_VERSION,
    SERVER_INFO,
    Implementation,
)
from trimcp.types.revisions import BY_VERSION, Era, Revision

if TYPE_CHECKING:
    from trimcp.client.extensions import ClientExtensions

MODERN_ERRORS: Final = frozenset((UNSUPPORTED_PROTOCOL_VERSION, MISSING_CLIENT_CAPABILITY, HEADER_MISMATCH))
"""Codes that only a server of the modern era sends. No other code says anything about the era."""
FALLS_BACK: Final = frozenset((400, 404, 405, 406, 415, 422))
"""Statuses by which a server over HTTP refuses what it does not understand; others are no word about the era."""


@attrs.frozen
class Agreement:
    """What client and server found that they both speak."""

    revision: Revision
    capabilities: ServerCapabilities
    server_info: Implementation | None
    instructions: str | None
    stamp: dict[str, Any] | None
    """What every request carries in its `_meta`; None in a legacy session."""


@attrs.frozen(kw_only=True)
class Offer:
    """What the client brings."""

    revisions: Sequence[Revision]
    """Oldest first."""
    info: Implementation
    capabilities: ClientCapabilities
    log_level: LoggingLevel | None = None
    """The least severe level of log messages wanted."""
    probe_timeout: float
    """Seconds until a server that does not answer the probe counts as a legacy one."""
    timeout: float
    """Seconds for each request of the negotiation beside the probe."""
    extensions: ClientExtensions | None = None
    """What the client declares beside the capabilities of the core."""

    def capabilities_in(self, revision: Revision) -> ClientCapabilities:
        """What the client declares in a revision."""
        if self.extensions is None:
            return self.capabilities
        from trimcp.types.extensions import declare

        capabilities = attrs.evolve(self.capabilities)
        declare(capabilities, revision, self.extensions.settings(revision))
        return capabilities

    def of(self, era: Era) -> list[Revision]:
        """The revisions of one era, newest first."""
        return [revision for revision in reversed(self.revisions) if revision.era is era]


async def negotiate(session: Session, offer: Offer) -> Agreement:
    """Agree with the server on a revision.

    Raises:
        SessionFailed: there is none in common, or the server answers what is no answer.
        ConnectionEnded: the server left.
    """
    modern, legacy = offer.of(Era.MODERN), offer.of(Era.LEGACY)
    if modern:
        found = await _probe(session, offer, modern, may_fall_back=bool(legacy))
        if found is not None:
            return found
    return await initialize(session, offer, legacy[0])


async def _probe(session: Session, offer: Offer, modern: list[Revision], *, may_fall_back: bool) -> Agreement | None:
    """Ask `server/discover`; None where that shows a legacy server."""
    revision = modern[0]
    stamp = _stamp(offer, revision)
    try:
        raw = await session.calls.call("server/discover", {"_meta": stamp}, timeout=offer.probe_timeout)
    except RequestTimedOut:
        if may_fall_back:
            return None
        raise SessionFailed("the server did not answer server/discover: it may speak legacy revisions only") from None
    except RequestFailed as exc:
        if exc.code in MODERN_ERRORS:
            return await _probe_again(session, offer, modern, exc)
        if may_fall_back:
            return None
        raise SessionFailed(f"the server speaks none of {_listed(modern)}: it answered {exc}") from exc
    except InvalidPayload as exc:
        raise SessionFailed(f"the server's answer to server/discover is none: {exc}") from exc
    except ExchangeFailed as exc:
        # Over HTTP a legacy server may say by a status alone that it does not know what it was asked.
        if exc.status not in FALLS_BACK:
            raise
        if may_fall_back:
            return None
        raise SessionFailed(f"the server speaks none of {_listed(modern)}, or is no MCP server: {exc}") from exc
    if may_fall_back and "supportedVersions" not in raw:
        return None  # there are servers that answer whatever they do not know, with nothing
    return _discovered(session, offer, revision, stamp, raw)


async def _probe_again(
    session: Session, offer: Offer, modern: list[Revision], refusal: RequestFailed
) -> Agreement | None:
    """The server is modern, but does not speak the revision of the probe; None where it names legacy ones of ours."""
    supported = refusal.data.get("supported") if isinstance(refusal.data, dict) else None
    # The one that was asked for may be among them: a server may have refused for another reason of that kind.
    mutual = [r for r in modern if isinstance(supported, list) and r.version in supported]
    if not mutual and isinstance(supported, list) and _has_legacy(offer, supported):
        return None
    if not mutual:
        spoken = ", ".join(map(str, supported)) if isinstance(supported, list) else "none that it names"
        raise SessionFailed(f"no revision in common: the server speaks {spoken}; we, {_listed(modern)}") from refusal
    stamp = _stamp(offer, mutual[0])
    try:
        raw = await session.calls.call("server/discover", {"_meta": stamp}, timeout=offer.timeout)
    except (RequestFailed, RequestTimedOut, InvalidPayload) as exc:
        raise SessionFailed(f"the server named {mutual[0].version}, and does not speak it: {exc}") from exc
    return _discovered(session, offer, mutual[0], stamp, raw)


def _discovered(
    session: Session, offer: Offer, revision: Revision, stamp: dict[str, Any], raw: dict[str, Any]
) -> Agreement | None:
    """What the server says that it is; None where it names no modern revision of ours, but legacy ones."""
    codec = codec_for(revision)
    try:
        result = codec.result_decoder("server/discover")(raw)
        said = (result.meta or {}).get(SERVER_INFO)
        info = None if said is None else codec.structure(said, Implementation)
    except InvalidPayload as exc:
        raise SessionFailed(f"the server's answer to server/discover breaks its schema: {exc}") from exc
    assert isinstance(result, DiscoverResult)
    if revision.version not in result.supported_versions:
        spoken = [BY_VERSION[v] for v in result.supported_versions if v in BY_VERSION]
        mutual = [r for r in offer.of(Era.MODERN) if r in spoken]
        if not mutual and _has_legacy(offer, result.supported_versions):
            return None
        if not mutual:
            raise SessionFailed(
                f"no revision in common: the server speaks {', '.join(result.supported_versions)}; "
                f"we, {_listed(offer.of(Era.MODERN))}"
            )
        revision, stamp = mutual[0], _stamp(offer, mutual[0])
    session.revision = revision
    return Agreement(revision, result.capabilities, info, result.instructions, stamp)


async def initialize(session: Session, offer: Offer, revision: Revision) -> Agreement:
    """Open a legacy session by its handshake.

    Raises:
        SessionFailed: there is no revision in common, or the server answers what is no answer.
        ConnectionEnded: the server left.
    """
    codec = codec_for(revision)
    params = codec.params_encoder("initialize")(
        InitializeRequestParams(
            protocol_version=revision.version, capabilities=offer.capabilities_in(revision), client_info=offer.info
        )
    )
    modes = offer.capabilities.elicitation
    if modes is not None and modes.form is None and params["capabilities"].get("elicitation") == {}:
        # To a revision without modes an empty capability means forms, and this client has none.
        del params["capabilities"]["elicitation"]
    try:
        raw = await session.calls.call("initialize", params, timeout=offer.timeout, cancellable=False)
    except RequestFailed as exc:
        raise SessionFailed(f"the server refused to initialize: {exc}") from exc
    except InvalidPayload as exc:
        raise SessionFailed(f"the server's answer to initialize is none: {exc}") from exc
    except RequestTimedOut:
        raise SessionFailed(f"the server did not answer initialize within {offer.timeout:g} s") from None
    version = raw.get("protocolVersion")
    agreed = next((r for r in offer.of(Era.LEGACY) if r.version == version), None)
    if agreed is None:
        raise SessionFailed(f"the server chose revision {version!r}; we speak {_listed(offer.of(Era.LEGACY))}")
    try:
        result = codec_for(agreed).result_decoder("initialize")(raw)
    except InvalidPayload as exc:
        raise SessionFailed(f"the server's answer to initialize breaks its schema: {exc}") from exc
    assert isinstance(result, InitializeResult)
    session.revision = agreed
    session.handshake.take(Step.INITIALIZE)
    session.handshake.take(Step.INITIALIZED)
    session.writer.post(encode_notification("notifications/initialized", None))
    await session.writer.flushed()  # over HTTP, what follows could overtake it
    log.debug(events.HANDSHAKE_COMPLETED, session=session.number, revision=agreed.version)
    if offer.log_level is not None and result.capabilities.logging is not None:
        try:
            await session.calls.call("logging/setLevel", {"level": offer.log_level}, timeout=offer.timeout)
        except (RequestFailed, RequestTimedOut) as exc:  # no reason to do without the server
            log.warning(events.MESSAGE_IGNORED, method="logging/setLevel", why=str(exc))
    return Agreement(agreed, result.capabilities, result.server_info, result.instructions, None)


def _stamp(offer: Offer, revision: Revision) -> dict[str, Any]:
    codec = codec_for(revision)
    stamp = {
        PROTOCOL_VERSION: revision.version,
        CLIENT_INFO: codec.unstructure(offer.info),
        CLIENT_CAPABILITIES: codec.unstructure(offer.capabilities_in(revision)),
    }
    if offer.log_level is not None:
        stamp[LOG_LEVEL] = offer.log_level
    return stamp


def _has_legacy(offer: Offer, versions: Sequence[Any]) -> bool:
    """Whether a legacy revision that we offer is among them."""
    return any(revision.version in versions for revision in offer.of(Era.LEGACY))


def _listed(revisions: Sequence[Revision]) -> str:
    return ", ".join(revision.version for revision in revisions)
