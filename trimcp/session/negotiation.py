"""A client and a server agree on a revision: by a probe, or by the legacy handshake.

basic/versioning and basic/transports/stdio, "Backward Compatibility", of 2026-07-28; basic/lifecycle before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import codec_for
from trimcp.errors import ExchangeFailed, InvalidPayload, RequestFailed, RequestTimedOut, SessionFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.observability.cleaning import escaped
from trimcp.protocol.lifecycle import Step
from trimcp.session.call import OpenCall
from trimcp.session.session import Session
from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities
from trimcp.types.jsonrpc import HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY, UNSUPPORTED_PROTOCOL_VERSION
from trimcp.types.lifecycle import DiscoverResult, InitializeRequestParams, InitializeResult
from trimcp.types.metadata import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    PROTOCOL_VERSION,
    SERVER_INFO,
    Implementation,
)
from trimcp.types.revisions import Era, Revision
from trimcp.types.utilities import LoggingLevel

MODERN_ERRORS: Final = frozenset((UNSUPPORTED_PROTOCOL_VERSION, MISSING_CLIENT_CAPABILITY, HEADER_MISMATCH))
"""Error codes that only a server of the modern era sends. Other codes do not show the era."""


class DeclaredExtensions(Protocol):
    """The extensions that a client declares."""

    def settings(self, revision: Revision) -> Mapping[str, Mapping[str, Any]]:
        """Return the settings that are declared in a revision, by the identifier of the extension."""
        ...

    def named_params(self, revision: Revision) -> Mapping[str, str]:
        """Return the member of params that `Mcp-Name` repeats over HTTP, by method."""
        ...


@attrs.frozen
class Agreement:
    """The revision and capabilities that client and server have agreed on."""

    revision: Revision
    capabilities: ServerCapabilities
    server_info: Implementation | None
    instructions: str | None
    stamp: dict[str, Any] | None
    """The members of `_meta` in every request; None in a legacy session."""


@attrs.frozen(kw_only=True)
class Offer:
    """The revisions and capabilities that a client offers."""

    revisions: Sequence[Revision]
    """Oldest first."""
    info: Implementation
    capabilities: ClientCapabilities
    log_level: LoggingLevel | None = None
    """The least severe level of log messages that the client wants."""
    probe_timeout: float
    """Seconds until a server that does not answer the probe is asked to `initialize`."""
    timeout: float
    """Seconds for each request of the negotiation beside the probe."""
    extensions: DeclaredExtensions | None = None
    """The extensions that the client declares."""

    def capabilities_in(self, revision: Revision) -> ClientCapabilities:
        """Return the capabilities that the client declares in a revision."""
        if self.extensions is None:
            return self.capabilities
        from trimcp.types.extensions import declare

        capabilities = attrs.evolve(self.capabilities)
        declare(capabilities, revision, self.extensions.settings(revision))
        return capabilities

    def of(self, era: Era) -> list[Revision]:
        """Return the revisions of one era, newest first."""
        return [revision for revision in reversed(self.revisions) if revision.era is era]

    def only(self, era: Era) -> Offer:
        """Return the same offer with the revisions of one era alone."""
        return attrs.evolve(self, revisions=[revision for revision in self.revisions if revision.era is era])

    @property
    def has_both_eras(self) -> bool:
        """Whether there is a revision of each era."""
        return bool(self.of(Era.MODERN) and self.of(Era.LEGACY))


class _NotModern(TrimcpError):
    """The server has not shown that it speaks a modern revision of ours, and may speak a legacy one."""


async def negotiate(session: Session, offer: Offer) -> Agreement:
    """Agree with the server on a revision.

    A server that starts slowly may answer the probe late. That counts if `initialize` has failed by then.

    Raises:
        SessionFailed: there is none in common, or the server answers what is no answer.
        ConnectionEnded: the server left.
    """
    modern, legacy = offer.of(Era.MODERN), offer.of(Era.LEGACY)
    if not modern:
        return await initialize(session, offer, legacy[0])
    stamp = _stamp(offer, modern[0])
    await trio.lowlevel.checkpoint_if_cancelled()  # a session that was cancelled takes no calls
    probe = session.calls.begin("server/discover", {"_meta": stamp}, None)
    try:
        with trio.CancelScope(deadline=trio.current_time() + offer.probe_timeout) as scope:
            probe.within(scope)
            await probe.reply.wait_set()
        try:
            return await _answered(session, offer, stamp, probe)
        except _NotModern as exc:
            if not legacy:
                raise SessionFailed(str(exc)) from (exc.__cause__ or exc)
            unclear = exc
        return await _fall_back(session, offer, stamp, probe, str(unclear))
    finally:
        session.calls.abandon(probe, "the server has shown which revision it speaks")


async def _answered(session: Session, offer: Offer, stamp: dict[str, Any], probe: OpenCall) -> Agreement:
    """Read the answer to the probe.

    Raises:
        _NotModern: it is none of a modern server, or not there.
        SessionFailed: the server is modern, and speaks no revision of ours.
        ConnectionEnded: the server left, or a response over HTTP says nothing about the era.
    """
    modern = offer.of(Era.MODERN)
    if not probe.is_settled:
        raise _NotModern("the server did not answer server/discover: it may speak legacy revisions only")
    try:
        return _discovered(session, offer, modern[0], stamp, probe.reply.get())
    except RequestFailed as exc:
        if exc.code in MODERN_ERRORS:
            return await _probe_again(session, offer, exc)
        raise _NotModern(f"the server speaks none of {_listed(modern)}: it answered {_cut(exc)}") from exc
    except InvalidPayload as exc:
        raise _NotModern(f"the server's answer to server/discover breaks its schema: {_cut(exc)}") from exc
    except ExchangeFailed as exc:
        # Over HTTP a legacy server may say by a status alone that it does not know what it was asked.
        if not speaks_of_era(exc.status):
            raise
        raise _NotModern(f"the server speaks none of {_listed(modern)}, or is no MCP server: {_cut(exc)}") from exc


async def _fall_back(session: Session, offer: Offer, stamp: dict[str, Any], probe: OpenCall, unclear: str) -> Agreement:
    """Open a legacy session, unless that fails and the server shows meanwhile that it is modern.

    Raises:
        SessionFailed, ConnectionEnded: neither works.
    """
    was_silent = not probe.is_settled
    is_refused = isinstance(probe.error, RequestFailed | ExchangeFailed)
    try:
        agreement = await initialize(session, offer, offer.of(Era.LEGACY)[0])
    except (SessionFailed, ExchangeFailed) as exc:
        refusal = exc.__cause__
        if isinstance(refusal, RequestFailed) and refusal.code == UNSUPPORTED_PROTOCOL_VERSION:
            if _mutual(offer.of(Era.MODERN), refusal):
                return await _again(session, offer, refusal)
        elif was_silent and probe.is_settled:
            with contextlib.suppress(_NotModern):
                return await _answered(session, offer, stamp, probe)
        if isinstance(exc, SessionFailed) and not (was_silent or is_refused):
            raise SessionFailed(f"{exc}; and {unclear}") from refusal
        raise
    spoken = agreement.revision.version
    if was_silent and probe.is_settled and probe.error is None:
        unclear = "the server answered server/discover late: a longer Timeouts.probe finds its newest revision"
    # Most legacy servers refuse the probe by an error, so this is expected.
    say = log.info if is_refused else log.warning
    say(events.HANDSHAKE_FELL_BACK, session=session.number, revision=spoken, why=unclear)
    return agreement


def speaks_of_era(status: int | None) -> bool:
    """Return whether a response over HTTP that is no answer of a modern server is one of a legacy server.

    Authentication, limits, redirects, failures of gateways and of the network say nothing about the era.
    """
    return status is not None and (
        status == 501 or not (status in (401, 403, 407, 429) or 300 <= status < 400 or status >= 500)
    )


async def _probe_again(session: Session, offer: Offer, refusal: RequestFailed) -> Agreement:
    """The server is modern, but does not speak the revision of the probe.

    Raises:
        _NotModern: it names legacy revisions of ours.
        SessionFailed: it names none of ours, or does not speak the one that it names.
    """
    modern = offer.of(Era.MODERN)
    if _mutual(modern, refusal):
        return await _again(session, offer, refusal)
    if _mutual(offer.of(Era.LEGACY), refusal):
        raise _NotModern(f"the server names legacy revisions alone: it answered {_cut(refusal)}")
    supported = _supported(refusal)
    spoken = "none that it names" if supported is None else _cut(", ".join(map(str, supported)))
    raise SessionFailed(f"no revision in common: the server speaks {spoken}; we, {_listed(modern)}") from refusal


async def _again(session: Session, offer: Offer, refusal: RequestFailed) -> Agreement:
    """Probe in the newest supported modern revision that a refusal names, which may be the first one again."""
    revision = _mutual(offer.of(Era.MODERN), refusal)[0]
    stamp = _stamp(offer, revision)
    try:
        raw = await session.calls.call("server/discover", {"_meta": stamp}, timeout=offer.timeout)
        return _discovered(session, offer, revision, stamp, raw)
    except (RequestFailed, RequestTimedOut, InvalidPayload) as exc:
        raise SessionFailed(f"the server named {revision.version}, and does not speak it: {_cut(exc)}") from exc


def _supported(refusal: RequestFailed) -> list[Any] | None:
    supported = refusal.data.get("supported") if isinstance(refusal.data, dict) else None
    return supported if isinstance(supported, list) else None


def _mutual(revisions: Sequence[Revision], refusal: RequestFailed) -> list[Revision]:
    """Return those of the revisions that a refusal names."""
    supported = _supported(refusal) or ()
    return [revision for revision in revisions if revision.version in supported]


def _discovered(
    session: Session, offer: Offer, revision: Revision, stamp: dict[str, Any], raw: dict[str, Any]
) -> Agreement:
    """Agree with what a server says that it speaks.

    Raises:
        InvalidPayload: it breaks the schema.
        _NotModern: it names no modern revision of ours, but legacy ones.
        SessionFailed: it names none of ours.
    """
    codec = codec_for(revision)
    result = codec.result_decoder("server/discover")(raw)
    said = (result.meta or {}).get(SERVER_INFO)
    info = None if said is None else codec.structure(said, Implementation)
    assert isinstance(result, DiscoverResult)
    if revision.version not in result.supported_versions:
        spoken = _cut(", ".join(result.supported_versions))
        mutual = [r for r in offer.of(Era.MODERN) if r.version in result.supported_versions]
        if not mutual and any(r.version in result.supported_versions for r in offer.of(Era.LEGACY)):
            raise _NotModern(f"the server names legacy revisions alone: {spoken}")
        if not mutual:
            ours = _listed(offer.of(Era.MODERN))
            raise SessionFailed(f"no revision in common: the server speaks {spoken}; we, {ours}")
        revision, stamp = mutual[0], _stamp(offer, mutual[0])
    session.revision = revision
    return Agreement(revision, result.capabilities, info, result.instructions, stamp)


async def initialize(session: Session, offer: Offer, revision: Revision) -> Agreement:
    """Open a legacy session by its handshake.

    Raises:
        SessionFailed: there is no revision in common, or the server's answer is not valid.
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
        # In a revision without modes an empty capability means forms, which this client does not have.
        del params["capabilities"]["elicitation"]
    try:
        raw = await session.calls.call("initialize", params, timeout=offer.timeout, cancellable=False)
    except RequestFailed as exc:
        raise SessionFailed(f"the server refused to initialize: {_cut(exc)}") from exc
    except InvalidPayload as exc:
        raise SessionFailed(f"the server's answer to initialize is not valid: {_cut(exc)}") from exc
    except RequestTimedOut:
        raise SessionFailed(f"the server did not answer initialize within {offer.timeout:g} s") from None
    version = raw.get("protocolVersion")
    agreed = next((r for r in offer.of(Era.LEGACY) if r.version == version), None)
    if agreed is None:
        raise SessionFailed(
            f"the server chose revision {_cut(repr(version))}; we speak {_listed(offer.of(Era.LEGACY))}"
        )
    try:
        result = codec_for(agreed).result_decoder("initialize")(raw)
    except InvalidPayload as exc:
        raise SessionFailed(f"the server's answer to initialize breaks its schema: {_cut(exc)}") from exc
    assert isinstance(result, InitializeResult)
    session.revision = agreed
    session.handshake.take(Step.INITIALIZE)
    session.handshake.take(Step.INITIALIZED)
    session.writer.post(encode_notification("notifications/initialized", None))
    await session.writer.flushed()  # over HTTP, the next message could overtake it
    log.debug(events.HANDSHAKE_COMPLETED, session=session.number, revision=agreed.version)
    if offer.log_level is not None and result.capabilities.logging is not None:
        try:
            await session.calls.call("logging/setLevel", {"level": offer.log_level}, timeout=offer.timeout)
        except (RequestFailed, RequestTimedOut) as exc:  # no reason to end the session
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


def _cut(said: object) -> str:
    """Return the text of something that the server said, as a part of a line."""
    return escaped(str(said))


def _listed(revisions: Sequence[Revision]) -> str:
    return ", ".join(revision.version for revision in revisions)
