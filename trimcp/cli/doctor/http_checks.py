"""Checks of Streamable HTTP: statuses, content types, header fields, sessions, `Origin`, event streams."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from trimcp.cli.doctor.examination import MODERN, UNKNOWN, Examination, Failed, NotApplicable, Rules, initialize
from trimcp.cli.doctor.http_wire import EVENTS, JSON, HttpWire
from trimcp.cli.doctor.wire import Answer
from trimcp.types.revisions import Era

CHECKS: Final = Rules()
LEGACY_PAGE: Final = "basic/transports"
MODERN_PAGE: Final = "basic/transports/streamable-http"
FOREIGN: Final = "https://attacker.example"
VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


def probe(examination: Examination) -> dict[str, Any]:
    """Return a request that every server of the era answers."""
    return examination.message("ping" if examination.era is Era.LEGACY else "server/discover")


# --- both eras --------------------------------------------------------------------------


async def _content_type(examination: Examination) -> None:
    answer = await examination.wire.ask(probe(examination))
    if answer.media_type not in (JSON, EVENTS):
        raise Failed(f"Content-Type is {answer.media_type!r}, neither {JSON} nor {EVENTS}")
    if answer.status != 200 or answer.message is None:
        raise Failed(f"a valid request was answered by {answer}")


async def _foreign_origin(examination: Examination) -> None:
    answer = await examination.wire.ask(probe(examination), headers={"origin": FOREIGN})
    if answer.status != 403:
        raise Failed(f"a request with Origin: {FOREIGN} was answered by {answer}, not by 403")


async def _stream_end(examination: Examination) -> None:
    examination.http.reads_to_end = True
    answer = await examination.wire.ask(probe(examination))
    examination.http.reads_to_end = False
    if answer.media_type != EVENTS:
        raise NotApplicable("the answer was no event stream")
    if not answer.has_ended:
        raise Failed("it was still open some seconds later")


for _era, _page in ((Era.LEGACY, LEGACY_PAGE), (Era.MODERN, MODERN_PAGE)):
    CHECKS.rule(_page, "a request is answered by JSON or by an event stream", era=_era, over="http")(_content_type)
    CHECKS.rule(_page, "a request with a foreign Origin is refused with 403", era=_era, over="http")(_foreign_origin)
    CHECKS.rule(_page, "an event stream ends with its response", must=False, era=_era, over="http")(_stream_end)


_of_legacy: Final = partial(CHECKS.rule, LEGACY_PAGE, era=Era.LEGACY, over="http")
_of_modern: Final = partial(CHECKS.rule, MODERN_PAGE, era=Era.MODERN, over="http")


# --- legacy: sessions -------------------------------------------------------------------


def _session(examination: Examination) -> str:
    session = examination.http.session
    if session is None:
        raise NotApplicable("the server has no sessions")
    return session


@_of_legacy("a session id has only visible ASCII characters")
async def session_ids_are_visible(examination: Examination) -> None:
    if not VISIBLE.fullmatch(_session(examination)):
        raise Failed(f"it is {_session(examination)!r}")


@_of_legacy("two sessions have two ids", must=False)
async def session_ids_are_unique(examination: Examination) -> None:
    _session(examination)
    async with examination.connected() as wire:
        assert isinstance(wire, HttpWire)
        other = wire.session
        await wire.send("DELETE", {})
    if other == examination.http.session:
        raise Failed("they have the same")


@CHECKS.rule(
    LEGACY_PAGE, "a request without the session id is refused with 400", must=False, era=Era.LEGACY, over="http"
)
async def session_ids_are_required(examination: Examination) -> None:
    _session(examination)
    _status(await examination.wire.ask(probe(examination), headers={"mcp-session-id": None}), 400)


@_of_legacy("a request of a session that has ended is refused with 404")
async def ended_sessions_are_gone(examination: Examination) -> None:
    _session(examination)
    async with examination.connected() as wire:
        assert isinstance(wire, HttpWire)
        ended = await wire.send("DELETE", {})
        if ended.status == 405:
            raise NotApplicable("the server does not let clients end sessions")
        if ended.status is None or not 200 <= ended.status < 300:
            raise Failed(f"DELETE was answered by {ended}, neither by 2xx nor by 405")
        _status(await wire.ask(probe(examination)), 404)


@CHECKS.rule(
    LEGACY_PAGE, "a request of an unknown session is refused with 404", must=False, era=Era.LEGACY, over="http"
)
async def unknown_sessions_are_unknown(examination: Examination) -> None:
    _session(examination)
    _status(await examination.wire.ask(probe(examination), headers={"mcp-session-id": "doctor-unknown"}), 404)


@_of_legacy("an unknown MCP-Protocol-Version is refused with 400")
async def unknown_versions_are_refused(examination: Examination) -> None:
    _status(await examination.wire.ask(probe(examination), headers={"mcp-protocol-version": "1900-01-01"}), 400)


@_of_legacy("a request without MCP-Protocol-Version is answered", must=False)
async def versions_need_not_be_named(examination: Examination) -> None:
    answer = await examination.wire.ask(probe(examination), headers={"mcp-protocol-version": None})
    if answer.result is None:
        raise Failed(f"it was answered by {answer}")


@_of_legacy("GET opens an event stream, or is refused with 405")
async def get_is_a_stream_or_refused(examination: Examination) -> None:
    answer = await examination.http.send("GET", {"accept": EVENTS})
    if answer.status != 405 and (answer.status != 200 or answer.media_type != EVENTS):
        raise Failed(f"it was answered by {answer} with Content-Type {answer.media_type!r}")


@_of_legacy("initialize needs no session, and opens one each time")
async def initialize_opens_sessions(examination: Examination) -> None:
    async with examination.opened() as wire:
        answer = await initialize(wire, examination.revision.version)
        if answer.status != 200 or answer.result is None:
            raise Failed(f"it was answered by {answer}")


def _status(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise Failed(f"it was answered by {answer}, not by {status}")


# --- modern: header fields --------------------------------------------------------------


async def _mismatch(examination: Examination, message: Mapping[str, Any], headers: Mapping[str, str | None]) -> None:
    answer = await examination.wire.ask(message, headers=headers)
    if (answer.status, answer.code) != (400, -32020):
        shown = ", ".join(f"{name}: {value}" if value else f"no {name}" for name, value in headers.items())
        raise Failed(f"{message['method']} with {shown} was answered by {answer}, not by 400 and -32020")


@CHECKS.rule(
    MODERN_PAGE, "a version in the header that is not the one in the body: -32020", era=Era.MODERN, over="http"
)
async def versions_must_match(examination: Examination) -> None:
    await _mismatch(examination, probe(examination), {"mcp-protocol-version": "2025-11-25"})


@_of_modern("a missing or another Mcp-Method: -32020")
async def methods_must_match(examination: Examination) -> None:
    await _mismatch(examination, probe(examination), {"mcp-method": None})
    await _mismatch(examination, probe(examination), {"mcp-method": "tools/list"})


@_of_modern("a missing or another Mcp-Name: -32020")
async def names_must_match(examination: Examination) -> None:
    message = _named(examination)
    await _mismatch(examination, message, {"mcp-name": None})
    await _mismatch(examination, message, {"mcp-name": "another"})


@_of_modern("an Mcp-Name in base64 is decoded before it is compared")
async def names_are_decoded(examination: Examination) -> None:
    encoded = f"=?base64?{base64.b64encode(UNKNOWN.encode()).decode()}?="
    answer = await examination.wire.ask(_named(examination), headers={"mcp-name": encoded})
    if answer.code == -32020:
        raise Failed(f"a name that is the same was answered by {answer}")


def _named(examination: Examination) -> dict[str, Any]:
    """Return a request that has a name, of a thing that does not exist."""
    for capability, method in (("tools", "tools/call"), ("prompts", "prompts/get")):
        if capability in examination.capabilities:
            return examination.message(method, {"name": UNKNOWN, "arguments": {}})
    raise NotApplicable("the server has neither tools nor prompts")


@_of_modern("header names are taken in any case")
async def names_of_fields_have_any_case(examination: Examination) -> None:
    headers = {"mcp-method": None, "MCP-METHOD": "server/discover"}
    answer = await examination.wire.ask(probe(examination), headers=headers)
    if answer.result is None:
        raise Failed(f"MCP-METHOD in place of Mcp-Method was answered by {answer}")


@_of_modern("no session id is given", must=False)
async def there_are_no_sessions(examination: Examination) -> None:
    answer = await examination.wire.ask(probe(examination), headers={"mcp-session-id": "doctor"})
    if "mcp-session-id" in answer.fields:
        raise Failed("the response has Mcp-Session-Id")
    if answer.result is None:
        raise Failed(f"a request with Mcp-Session-Id was answered by {answer}: it must be ignored")


@_of_modern("event streams have X-Accel-Buffering: no", must=False)
async def streams_are_not_buffered(examination: Examination) -> None:
    answer = await examination.wire.ask(probe(examination))
    if answer.media_type != EVENTS:
        raise NotApplicable("the answer was no event stream")
    if answer.fields.get("x-accel-buffering") != "no":
        raise Failed("the field is missing")


@_of_modern("GET and DELETE are refused with 405", must=False)
async def other_verbs_are_refused(examination: Examination) -> None:
    async with examination.opened() as wire:
        # A server of both eras takes GET and DELETE of its sessions.
        if (await initialize(wire, "2025-11-25")).result is not None:
            raise NotApplicable("the server also speaks older revisions")
    for verb in ("GET", "DELETE"):
        answer = await examination.http.send(verb, {"accept": EVENTS, "mcp-protocol-version": MODERN.version})
        if answer.status != 405:
            raise Failed(f"{verb} was answered by {answer}")
