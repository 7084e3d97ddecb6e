"""Checks of messages: ids, errors, notifications, `ping`, cancellation, and what the server may send at all."""

from __future__ import annotations

from typing import Final

from trimcp.cli.doctor.examination import MODERN_CODES, UNKNOWN, Examination, Failed, NotApplicable, Rules
from trimcp.cli.doctor.wire import DuplexWire
from trimcp.types.revisions import RESERVED, Era

CHECKS: Final = Rules()
BASIC: Final = "basic"
CANCELLATION: Final = {Era.LEGACY: "basic/utilities/cancellation", Era.MODERN: "basic/patterns/cancellation"}
IDS: Final = (7, "7", 0, -1, 2**53 - 1, "an id with spaces, ü and \u2028", "x" * 300)


@CHECKS.rule(BASIC, "a response has the id of its request, a number as a number and a string as a string")
async def ids_come_back(examination: Examination) -> None:
    method = "ping" if examination.era is Era.LEGACY else "server/discover"
    for id in IDS:
        answer = await examination.ask(method, id=id)
        if answer.message is None or answer.message.get("id") != id or type(answer.message["id"]) is not type(id):
            shown = repr(id) if len(str(id)) < 40 else f"a string of {len(str(id))} characters"
            raise Failed(f"the id {shown} was answered by {answer}")


@CHECKS.rule(BASIC, "an unknown method is refused with -32601")
async def unknown_methods_are_refused(examination: Examination) -> None:
    answer = await examination.refused(UNKNOWN, None, [-32601])
    if examination.wire.is_http and examination.era is Era.MODERN and answer.status != 404:
        raise Failed(f"the status of HTTP was {answer.status}, not 404")


@CHECKS.rule(BASIC, "a notification is not answered")
async def notifications_are_not_answered(examination: Examination) -> None:
    wire = examination.wire
    message = {"jsonrpc": "2.0", "method": "notifications/doctor/unknown"}
    if isinstance(wire, DuplexWire):
        await examination.alive()
        await wire.tell(message)
        answer = await wire.ask(examination.message("ping" if examination.era is Era.LEGACY else "server/discover"))
        responses = [each for each in answer.before if "method" not in each]
        if responses:
            raise Failed(f"a response came: {responses[0]}")
    else:
        answer = await wire.tell(message)
        if answer.message is not None and "id" in answer.message and answer.message["id"] is not None:
            raise Failed(f"it was answered by {answer}")
        if answer.status is None or not (answer.status == 202 or 400 <= answer.status < 500):
            raise Failed(f"it was answered by {answer}; expected 202 Accepted")
        if answer.status == 202 and answer.body.strip():
            raise Failed(f"202 came with a body: {answer.body[:60]!r}")


@CHECKS.rule(BASIC, "text that is not JSON does not end the session", must=False)
async def broken_json_is_survived(examination: Examination) -> None:
    await examination.wire.tell(b'{"jsonrpc": "2.0", "id": 1, "method"')
    await examination.alive()


@CHECKS.rule(BASIC, "text that is not JSON is answered by -32700", must=False, over="http")
async def broken_json_is_reported(examination: Examination) -> None:
    answer = await examination.wire.tell(b'{"jsonrpc": "2.0", "id": 1, "method"')
    if answer.status != 400 or answer.code not in (-32700, None):
        raise Failed(f"it was answered by {answer}")
    if answer.code is None:
        raise Failed("the response has no JSON-RPC error")


@CHECKS.rule(BASIC, "a message that is not JSON-RPC does not end the session", must=False)
async def invalid_messages_are_survived(examination: Examination) -> None:
    for data in (b"[]", b"17", b'{"jsonrpc": "1.0", "id": 99, "method": "ping"}', b'{"jsonrpc": "2.0", "id": 98}'):
        await examination.wire.tell(data)
    await examination.alive()


@CHECKS.rule("basic/utilities/ping", "ping is answered by an empty result", era=Era.LEGACY)
async def ping_is_answered(examination: Examination) -> None:
    result = await examination.result("ping")
    if set(result) - {"_meta"}:
        raise Failed(f"the result has {', '.join(sorted(result))}")


@CHECKS.rule(BASIC, "ping, which this era lacks, is refused with -32601", era=Era.MODERN)
async def ping_is_gone(examination: Examination) -> None:
    await examination.refused("ping", None, [-32601])


async def _cancels_are_survived(examination: Examination) -> None:
    wire = examination.wire
    await examination.alive()
    for params in ({"requestId": 123456}, {"requestId": "unknown", "reason": "a check"}, {"reason": "no id"}, {}):
        await wire.tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
    await examination.alive()


@CHECKS.rule(CANCELLATION[Era.LEGACY], "cancels of unknown requests are ignored", must=False, era=Era.LEGACY)
async def legacy_cancels_are_survived(examination: Examination) -> None:
    await _cancels_are_survived(examination)


@CHECKS.rule(
    CANCELLATION[Era.MODERN], "cancels of unknown requests are ignored", must=False, era=Era.MODERN, over="duplex"
)
async def modern_cancels_are_survived(examination: Examination) -> None:
    await _cancels_are_survived(examination)


@CHECKS.rule(CANCELLATION[Era.MODERN], "a cancelled listen gets no further message", era=Era.MODERN, over="duplex")
async def a_listen_can_be_cancelled(examination: Examination) -> None:
    wire = examination.wire
    assert isinstance(wire, DuplexWire)
    message = examination.message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    first = await wire.first(message)
    if first is None or first.get("method") != "notifications/subscriptions/acknowledged":
        raise NotApplicable("there is no listen to cancel")
    await wire.tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": message["id"]}})
    await examination.alive()
    answer = await wire.ask(examination.message("server/discover"))
    late = [each for each in answer.before if each.get("id") == message["id"] and "result" in each]
    if late:
        raise Failed(f"a response came: {late[0]}")


# --- of all that the server has sent ----------------------------------------------------

AT_LAST: Final = Rules()
"""Checks that come last, since they are about all messages before."""


@AT_LAST.rule(BASIC, "all that the server sends is JSON-RPC 2.0")
async def all_messages_are_valid(examination: Examination) -> None:
    problems = [*examination.problems, *examination.wire.problems]
    if problems:
        raise Failed("; ".join(problems[:3]))


@AT_LAST.rule(BASIC, "no error has a code that this revision reserves", era=Era.MODERN)
async def reserved_codes_are_not_used(examination: Examination) -> None:
    codes = (examination.codes | examination.wire.codes) & RESERVED - MODERN_CODES | (
        (examination.codes | examination.wire.codes) & {-32002, -32042}
    )
    if codes:
        raise Failed(f"the server used {', '.join(map(str, sorted(codes)))}")


@AT_LAST.rule(BASIC, "the server sends no requests", era=Era.MODERN)
async def the_server_sends_no_requests(examination: Examination) -> None:
    requests = [*examination.requests, *examination.wire.requests]
    if requests:
        raise Failed(f"it sent {', '.join(sorted(set(requests)))}")
