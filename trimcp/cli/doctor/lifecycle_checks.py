"""Checks of the handshake and of version negotiation: `initialize` in the legacy era, metadata in the modern one."""

from __future__ import annotations

from typing import Any, Final

from trimcp.cli.doctor.examination import (
    CAPABILITIES_KEY,
    INFO,
    LEGACY,
    MODERN,
    VERSION_KEY,
    Examination,
    Failed,
    NotApplicable,
    Rules,
    initialize,
)
from trimcp.cli.doctor.wire import Answer, DuplexWire
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload
from trimcp.types.revisions import BY_VERSION, Era

CHECKS: Final = Rules()
LAST: Final = Rules()
"""The check that ends the connection, and so comes last."""
LIFECYCLE: Final = "basic/lifecycle"
VERSIONING: Final = "basic/versioning"
STRANGE: Final = "1900-01-01"
"""A revision that no server speaks."""


# --- legacy ---------------------------------------------------------------------------


@CHECKS.rule(LIFECYCLE, "initialize is answered with a version, capabilities and serverInfo", era=Era.LEGACY)
async def initialize_is_answered(examination: Examination) -> None:
    if examination.server.get("protocolVersion") not in BY_VERSION:
        raise Failed(f"protocolVersion is {examination.server.get('protocolVersion')!r}, which is no revision")
    well_formed(examination, "initialize", examination.server)


def well_formed(examination: Examination, method: str, result: Any) -> None:
    """Check that a result has the form of its method.

    Raises:
        Failed: it has not.
    """
    try:
        codec_for(examination.revision).result_decoder(method)(result)
    except InvalidPayload as exc:
        raise Failed(f"the result of {method}: {exc}") from None


async def _offer(examination: Examination) -> Answer:
    """Return the answer to `initialize` with a version that no server speaks."""
    if examination.offer is None:
        async with examination.opened() as wire:
            examination.offer = await initialize(wire, STRANGE)
    return examination.offer


@CHECKS.rule(LIFECYCLE, "a version that the server does not speak is answered with one that it does", era=Era.LEGACY)
async def another_version_is_offered(examination: Examination) -> None:
    answer = await _offer(examination)
    if answer.result is None or answer.result.get("protocolVersion") not in BY_VERSION:
        raise Failed(f"initialize with {STRANGE} was answered by {answer}")


@CHECKS.rule(LIFECYCLE, "each version that the server speaks is answered with the same", era=Era.LEGACY)
async def the_same_version_is_answered(examination: Examination) -> None:
    version = ((await _offer(examination)).result or {}).get("protocolVersion")
    if version not in BY_VERSION or BY_VERSION[version].era is Era.MODERN:
        raise NotApplicable("the server offers no version of this era")
    async with examination.opened() as wire:
        answer = await initialize(wire, version)
    if (answer.result or {}).get("protocolVersion") != version:
        raise Failed(f"the server offers {version}, and answers initialize with {version} by {answer}")


@CHECKS.rule(LIFECYCLE, "the version that is offered is the latest of this era", must=False, era=Era.LEGACY)
async def the_latest_version_is_offered(examination: Examination) -> None:
    offered = (await _offer(examination)).result or {}
    if BY_VERSION.get(str(offered.get("protocolVersion")), LEGACY).order < examination.revision.order:
        raise Failed(f"it offers {offered.get('protocolVersion')}, and speaks {examination.revision.version}")


@LAST.rule("basic/transports/stdio", "the server leaves at the end of input", must=False, era=Era.MODERN, over="duplex")
@LAST.rule(LIFECYCLE, "the server leaves at the end of input", must=False, era=Era.LEGACY, over="duplex")
async def the_server_leaves(examination: Examination) -> None:
    wire = examination.wire
    assert isinstance(wire, DuplexWire)
    if not wire.half_closes:
        raise NotApplicable("the transport has no end of input")
    if not await wire.end_input():
        raise Failed(f"it still ran {wire.timeout:g} seconds later")


# --- modern ---------------------------------------------------------------------------


@CHECKS.rule("server/discover", "server/discover is answered with versions and capabilities", era=Era.MODERN)
async def discover_is_answered(examination: Examination) -> None:
    well_formed(examination, "server/discover", examination.server)
    versions = examination.server.get("supportedVersions") or []
    if MODERN.version not in versions:
        raise Failed(f"supportedVersions is {versions}, without {MODERN.version}")


@CHECKS.rule("server/discover", "a result names the server, in its metadata", must=False, era=Era.MODERN)
async def results_name_the_server(examination: Examination) -> None:
    meta = examination.server.get("_meta")
    if not isinstance(meta, dict) or "io.modelcontextprotocol/serverInfo" not in meta:
        raise Failed("there is no io.modelcontextprotocol/serverInfo in _meta")


@CHECKS.rule(VERSIONING, "an unknown version is refused with -32022 and the supported ones", era=Era.MODERN)
async def unknown_versions_are_refused(examination: Examination) -> None:
    message = examination.message("server/discover", {"_meta": {VERSION_KEY: STRANGE}})
    answer = await examination.wire.ask(message, headers={"mcp-protocol-version": STRANGE})
    _refused(answer, -32022, examination)
    data = answer.data if isinstance(answer.data, dict) else {}
    if MODERN.version not in (data.get("supported") or []):
        raise Failed(f"data.supported is {data.get('supported')!r}, without {MODERN.version}")
    if data.get("requested") != STRANGE:
        raise Failed(f"data.requested is {data.get('requested')!r}, not {STRANGE!r}")


@CHECKS.rule("basic", "a request without a version in its metadata is refused with -32602", era=Era.MODERN)
async def a_version_is_required(examination: Examination) -> None:
    meta = {CAPABILITIES_KEY: {}, "io.modelcontextprotocol/clientInfo": INFO}
    # The header of HTTP says which era it is.
    _refused(await _with_meta(examination, meta), -32602, examination)


@CHECKS.rule("basic", "a request without capabilities in its metadata is refused with -32602", era=Era.MODERN)
async def capabilities_are_required(examination: Examination) -> None:
    _refused(await _with_meta(examination, {VERSION_KEY: MODERN.version}), -32602, examination)


async def _with_meta(examination: Examination, meta: dict[str, Any]) -> Answer:
    message = examination.message("server/discover")
    message["params"]["_meta"] = meta
    return await examination.wire.ask(message)


def _refused(answer: Answer, code: int, examination: Examination) -> None:
    if answer.code != code:
        raise Failed(f"the answer was {answer}")
    if examination.wire.is_http and answer.status != 400:
        raise Failed(f"the status of HTTP was {answer.status}, not 400")


@CHECKS.rule("basic", "each result has a resultType", era=Era.MODERN)
async def results_have_a_type(examination: Examination) -> None:
    if not isinstance(examination.server.get("resultType"), str):
        raise Failed("the result of server/discover has none")


@CHECKS.rule("basic", "initialize, which this era lacks, is refused, or opens a legacy session", era=Era.MODERN)
async def initialize_is_refused_or_legacy(examination: Examination) -> None:
    async with examination.opened() as wire:
        answer = await initialize(wire, LEGACY.version)
    version = str((answer.result or {}).get("protocolVersion"))
    if answer.result is not None and BY_VERSION.get(version, MODERN).era is Era.MODERN:
        raise Failed(f"initialize was answered by {answer}")
