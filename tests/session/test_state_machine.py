"""Whatever two clients, their server and the wire between them go through, some things always hold.

Hypothesis writes the scripts (`script`), `player` plays each in a Trio run of its own on a mock
clock. The number of scripts is small by default and always the same ones; TRIMCP_EXAMPLES=5000
plays that many, of its own choosing.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings

import trimcp
from tests.session.player import Peer, Player
from tests.session.script import Call, Script, scripts
from trimcp.observability import log

EXAMPLES = os.environ.get("TRIMCP_EXAMPLES")


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Any:
    """Failing tools and broken lines are the point here: nothing is logged about them."""
    log.set_level("off")
    yield
    log.set_level("warning")


@settings(
    max_examples=int(EXAMPLES or 120),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scripts)
def test_whatever_happens_every_request_is_settled_once_and_nothing_is_left_behind(script: Script) -> None:
    player = Player(script)
    trio.run(player.play, clock=trio.testing.MockClock(autojump_threshold=0))
    nothing_is_left(player)
    each_call_has_one_outcome(player)
    for peer in player.peers:
        each_request_has_at_most_one_answer(peer)
        nothing_follows_a_cancel(peer)
        progress_is_in_order_and_before_the_answer(peer)
        if script.is_peaceful:
            every_request_is_answered_or_cancelled(player, peer)
            who_gives_up_says_so(player, peer)
    drains_add_up(player)


def nothing_is_left(player: Player) -> None:
    assert {what: number for what, number in player.left_at_end.items() if number} == {}


# --- what the callers see -------------------------------------------------------------


def is_right(tool: str, result: trimcp.ToolResult, nonce: int) -> bool:
    """Whether that is what the tool answers to a call with that nonce."""
    match tool:
        case "expected":
            return result.is_error and result.text == "as announced"
        case "unexpected":
            return result.is_error and "secret" not in result.text
        case "large":
            return bool(json.loads(result.text)["nonce"] == nonce)
        case "asking":
            return result.is_error or result.text == str(nonce)
        case _:
            return result.text == str(nonce)


def each_call_has_one_outcome(player: Player) -> None:
    for made in player.calls:
        assert made.outcome is not None, made
        assert made.outcome != "timed out" or made.call.timeout is not None, made
        assert made.reports == sorted(set(made.reports)), made
        assert made.reports_after == 0, made
        if made.result is not None:
            assert is_right(made.call.tool, made.result, made.nonce), (made.call, made.result)
            if made.call.watched and made.call.tool == "reporting" and made.call.size:
                assert made.reports[-1] == made.call.size * 2, "the last report always arrives"


# --- what passed on the wire, seen from the server's end --------------------------------


def answers_by_id(peer: Peer) -> dict[Any, list[int]]:
    """At which lines each id was answered."""
    answers: dict[Any, list[int]] = {}
    for number, line in enumerate(peer.far.lines):
        if line.direction == "out" and "method" not in line.message and line.message.get("id") is not None:
            answers.setdefault(line.message["id"], []).append(number)
    return answers


def requests_by_id(peer: Peer) -> dict[Any, list[int]]:
    """At which lines the requests with each id came."""
    requests: dict[Any, list[int]] = {}
    for number, line in enumerate(peer.far.lines):
        message = line.message
        if line.direction == "in" and "method" in message and type(message.get("id")) in (int, str):
            requests.setdefault(message["id"], []).append(number)
    return requests


def each_request_has_at_most_one_answer(peer: Peer) -> None:
    requests = requests_by_id(peer)
    for request_id, answers in answers_by_id(peer).items():
        asked = requests.get(request_id, [])
        assert len(answers) <= len(asked), f"{len(answers)} answers to {len(asked)} requests {request_id!r}"
        assert asked[0] < answers[0], "an answer before its request"


def belongs_to(message: Any, request_id: Any) -> bool:
    """Whether a message is progress on a request or its answer; but not if the server had cancelled it before."""
    if message.get("method") == "notifications/progress":
        return bool(message["params"]["progressToken"] == request_id)
    if "method" in message or message.get("id") != request_id:
        return False
    data = message.get("error", {}).get("data")
    return not (isinstance(data, dict) and data.get("reason") in ("shutdown", "deadline"))


def nothing_follows_a_cancel(peer: Peer) -> None:
    lines = peer.far.lines
    for number, line in enumerate(lines):
        if line.direction != "in" or line.message.get("method") != "notifications/cancelled" or not line.alone:
            continue
        request_id = line.message.get("params", {}).get("requestId")
        following = [later for later in lines[number + 1 :] if later.direction == "out" and later.time > line.time]
        after = [later.message for later in following]
        assert not any(belongs_to(message, request_id) for message in after), (line, after)


def progress_is_in_order_and_before_the_answer(peer: Peer) -> None:
    last: dict[Any, float] = {}
    answers = answers_by_id(peer)
    for number, line in enumerate(peer.far.lines):
        if line.direction != "out" or line.message.get("method") != "notifications/progress":
            continue
        params = line.message["params"]
        token, progress = params["progressToken"], params["progress"]
        assert progress > last.get(token, 0), f"progress of {token!r} does not increase"
        last[token] = progress
        # The client's tokens are the ids of its requests.
        assert all(number < answer for answer in answers.get(token, [])), f"progress of {token!r} after its answer"


def every_request_is_answered_or_cancelled(player: Player, peer: Peer) -> None:
    """Where nothing goes wrong, nobody loses anything, and who gives up says so."""
    calls = [made for made in player.calls if player.peers[made.call.client] is peer]
    assert all(made.outcome in ("result", "refused", "timed out", "cancelled") for made in calls)
    assert set(requests_by_id(peer)) == set(answers_by_id(peer)) | cancelled_ids(peer)


def who_gives_up_says_so(player: Player, peer: Peer) -> None:
    lines = peer.near.lines
    ids = {
        _nonce_of(line.message): line.message["id"]
        for line in lines
        if line.direction == "out" and _nonce_of(line.message) is not None
    }
    for made in player.calls:
        if made.nonce not in ids or made.outcome not in ("timed out", "cancelled"):
            continue  # another client's, never sent, or answered
        id = ids[made.nonce]
        seen = [line.message for line in lines[: made.seen] if line.direction == "in" and "method" not in line.message]
        said = [line.message for line in lines if line.message.get("method") == "notifications/cancelled"]
        assert any(m.get("id") == id for m in seen) or any(m["params"]["requestId"] == id for m in said), made


def _nonce_of(message: Any) -> int | None:
    """Of a call of a tool, and nothing else."""
    found: int | None = message.get("params", {}).get("arguments", {}).get("nonce")
    return found


def drains_add_up(player: Player) -> None:
    for drained in player.drains:
        report, peer = drained.report, drained.peer
        total = report.finished + report.cancelled + report.lost
        if drained.written:
            assert total == len(drained.in_flight), drained
        else:
            assert total >= len(drained.in_flight), drained
        if player.script.capacity > 10000:  # so that nothing that was answered waited to be written
            answered = answers_by_id(peer)
            settled = sum(id in answered or id in cancelled_ids(peer) for id in drained.in_flight)
            assert report.finished + report.cancelled <= settled or report.lost, drained


def cancelled_ids(peer: Peer) -> set[Any]:
    """The ids of the requests that the client has cancelled."""
    return {
        line.message["params"]["requestId"]
        for line in peer.far.lines
        if line.direction == "in"
        and line.message.get("method") == "notifications/cancelled"
        and line.message["params"]["requestId"] != {}
    }


def test_the_script_has_every_tool() -> None:
    """A tool that the scripts never call would be tested by nobody."""
    from tests.session.script import TOOLS, make_server

    assert set(TOOLS) == set(make_server()._declarations.tools.catalog)
    assert Call(0, "instant", 0, None, watched=False).client == 0
