"""Loads on a server in memory: what is counted, and that a server which stalls is noticed."""

import contextlib
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.bench.loads import MILLISECOND, closed, measure, opened, sleepy, tool
from trimcp.bench.operations import Operation
from trimcp.bench.plan import Open, Plan
from trimcp.bench.result import Result
from trimcp.bench.run import Progress, run_load
from trimcp.bench.schedule import Share, stages_of
from trimcp.errors import UsageError

WORK = tool("work")


async def test_a_closed_loop_makes_one_request_after_the_other(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), closed(callers=4))
    assert result.offered == pytest.approx(2000, abs=4)
    assert result.rate == pytest.approx(400, rel=0.01)
    whole = result.all
    assert whole.due.percentile(50) == pytest.approx(10 * MILLISECOND, rel=0.01)
    assert whole.due == whole.sent
    assert len(whole.due) == result.offered
    assert not whole.errors


async def test_an_open_loop_makes_requests_at_its_rate_whatever_the_answers(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), opened(300))
    assert result.seconds == pytest.approx(5)
    assert result.offered == pytest.approx(1500, abs=1)
    assert len(result.all.due) == result.offered
    assert result.rate == pytest.approx(300, abs=1)
    assert result.late.greatest < MILLISECOND
    assert result.dropped == 0


async def test_a_stall_shows_in_the_times_from_due_and_not_in_those_from_sent(autojump_clock: MockClock) -> None:
    # It stops from 2 s to 3 s, with room for 8 requests: hundreds wait for a place meanwhile.
    result = await measure(sleepy(stall=(2, 3)), opened(400, in_flight=8))
    whole = result.all
    assert whole.sent.percentile(99) < 15 * MILLISECOND
    assert whole.due.percentile(99) > 900 * MILLISECOND
    assert whole.due.percentile(50) < 600 * MILLISECOND
    assert result.dropped == 0
    # The generator was not late itself.
    assert result.late.percentile(99) < MILLISECOND


async def test_a_closed_loop_hides_a_stall_and_its_corrected_times_show_it(autojump_clock: MockClock) -> None:
    # A second of ten: of 8 callers that call each 10 ms, 8 calls see it, and 800 would have.
    result = await measure(sleepy(stall=(5, 6)), closed(callers=8, duration=10.0))
    whole = result.all
    assert whole.sent.percentile(99) < 15 * MILLISECOND
    assert whole.sent.greatest > 900 * MILLISECOND
    assert whole.corrected.percentile(90) < 15 * MILLISECOND
    assert whole.corrected.percentile(99) == pytest.approx(900 * MILLISECOND, rel=0.05)
    assert len(whole.corrected) - len(whole.sent) == pytest.approx(800, rel=0.05)
    steady = await measure(sleepy(), closed(callers=8))
    assert steady.all.corrected == steady.all.sent


# --- a run that is stopped --------------------------------------------------------------


@pytest.mark.parametrize("plan", [closed(callers=4, duration=1000.0), opened(400, duration=1000.0)])
async def test_a_run_that_is_stopped_has_the_figures_until_then(autojump_clock: MockClock, plan: Plan) -> None:
    result, seconds = await stopped_after(3.2512, plan)
    assert result is not None
    assert result.is_interrupted
    assert result.seconds == pytest.approx(2.25, abs=0.01)
    assert result.rate == pytest.approx(400, rel=0.02)
    assert len(result.all.due) == result.offered
    assert not result.all.errors
    assert [point.answered for point in result.timeline.points] == pytest.approx([400, 400, 100], abs=9)
    assert seconds < 3.5


async def test_a_stopped_run_does_not_wait_long_for_answers(autojump_clock: MockClock) -> None:
    result, seconds = await stopped_after(3.0, opened(2, duration=1000.0, patience=500.0), tool("hang"))
    assert result is not None
    assert result.all.errors == {"unanswered at the end": 4}
    assert seconds == pytest.approx(4.0, abs=0.1)


async def test_a_run_of_streams_alone_can_be_stopped(autojump_clock: MockClock) -> None:
    result, seconds = await stopped_after(3.0, closed(callers=0, listens=1))
    assert result is not None
    assert seconds < 3.1


@pytest.mark.parametrize("plan", [closed(), closed(sessions=5, connect_rate=1.0)])
async def test_a_run_that_is_stopped_before_its_window_has_no_figures(autojump_clock: MockClock, plan: Plan) -> None:
    result, seconds = await stopped_after(0.5, plan)
    assert result is None
    assert seconds < 0.6


async def stopped_after(seconds: float, plan: Plan, operation: Operation = WORK) -> tuple[Result | None, float]:
    """Stop a run after some seconds; return its result, and when it had ended."""
    server, stop, began = sleepy(), trio.Event(), trio.current_time()

    async def prepare(client: object) -> list[Operation]:
        return [operation]

    async def set_stop() -> None:
        await trio.sleep(seconds)
        stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(set_stop)
        result = await run_load(lambda: trimcp.connect(server, cache=False), plan, prepare, stop=stop)
    return result, trio.current_time() - began


# --- overload and errors ------------------------------------------------------------------


async def test_requests_beyond_the_places_and_the_queue_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(1.0), opened(100, in_flight=10, waiting=5))
    assert result.offered == pytest.approx(500, abs=1)
    assert result.dropped == pytest.approx(450, abs=15)
    whole = result.all
    assert len(whole.due) + whole.failed + result.dropped == result.offered
    assert whole.due.greatest <= 2010 * MILLISECOND


async def test_a_request_without_an_answer_is_counted_when_patience_ends(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), opened(2, patience=3.0, duration=2.0), tool("hang"))
    assert result.all.errors == {"unanswered at the end": 4}
    assert result.answered == 0


async def test_what_still_waits_for_a_place_at_the_end_is_dropped(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), opened(10, in_flight=1, patience=1.0, duration=2.0), tool("hang"))
    assert result.offered == pytest.approx(20, abs=1)
    assert result.dropped + result.all.failed == result.offered


async def test_errors_are_counted_by_their_names_and_have_no_times(autojump_clock: MockClock) -> None:
    missing = Operation("missing", "no/such", {})
    result = await measure(
        sleepy(), opened(90, seed=1), tool("work"), tool("refuse"), missing, tool("hang", 0.1), timeouts=timeouts(0.5)
    )
    work, refuse, none, hang = result.operations
    assert (work.errors, set(refuse.errors), set(none.errors), set(hang.errors)) == (
        {}, {"tool error"}, {"code -32601"}, {"timed out"}
    )  # fmt: skip
    assert len(refuse.due) == len(none.due) == len(hang.due) == 0
    assert len(result.all.due) + result.all.failed == result.offered


def timeouts(seconds: float) -> trimcp.Timeouts:
    return trimcp.Timeouts(request=seconds)


async def test_a_mix_follows_its_weights(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), opened(400, seed=7), tool("work", 9), Operation("tools", "tools/list", None, 1))
    work, tools = (len(each.due) for each in result.operations)
    assert work / (work + tools) == pytest.approx(0.9, abs=0.02)


async def test_the_same_seed_makes_the_same_load(autojump_clock: MockClock) -> None:
    def counts(result: object) -> list[int]:
        return [len(each.due) for each in result.operations]  # type: ignore[attr-defined]

    mixed = (tool("work", 2), Operation("tools", "tools/list"))
    one, other = [await measure(sleepy(), opened(50, seed=3), *mixed) for _ in range(2)]
    assert counts(one) == counts(other)


async def test_a_number_of_requests_ends_a_run(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), closed(callers=3, requests=100))
    assert len(result.all.due) == 100
    assert result.seconds == pytest.approx(34 * 0.01, abs=0.011)
    result = await measure(sleepy(), opened(50, requests=100, warmup=0.0))
    assert len(result.all.due) == 100
    assert result.seconds == pytest.approx(2.01, abs=0.03)


async def test_stages_change_the_rate_and_end_the_run(autojump_clock: MockClock) -> None:
    plan = Plan(load=Open(schedule=stages_of("2s:100,1s:100")), warmup=0.0, duration=60.0)
    result = await measure(sleepy(), plan)
    assert result.offered == pytest.approx(200, abs=1)
    assert [point.offered for point in result.timeline.points] == pytest.approx([25, 75, 100], abs=1)


async def test_progress_is_asked_for_and_counted(autojump_clock: MockClock) -> None:
    reporting = Operation("report", "tools/call", {"name": "report", "arguments": {}}, wants_progress=True)
    result = await measure(sleepy(), closed(warmup=0.0, requests=10), reporting)
    assert result.all.reports == 30


async def test_the_timeline_has_a_point_for_each_second(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(stall=(2, 3)), opened(400, in_flight=8))
    points = result.timeline.points
    assert len(points) == 5
    assert [point.offered for point in points] == pytest.approx([400] * 5, abs=2)
    assert min(point.answered for point in points) <= 10
    assert sum(point.answered for point in points) == pytest.approx(result.answered, abs=2)
    assert points[1].times.greatest <= points[2].times.greatest


async def test_a_spectator_sees_each_second_and_a_slow_one_misses_some(autojump_clock: MockClock) -> None:
    spectator, seconds = trio.open_memory_channel[Progress](3)
    await measure(sleepy(), opened(100), spectator=spectator)
    seen = [seconds.receive_nowait() for _ in range(3)]
    assert [(each.phase, each.second) for each in seen] == [("warm-up", 1), ("measuring", 1), ("measuring", 2)]
    assert seen[1].sessions == 1
    with pytest.raises(trio.WouldBlock):
        seconds.receive_nowait()


# --- sessions -------------------------------------------------------------------------


async def test_sessions_take_turns_and_are_opened_at_their_rate(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    result = await measure(sleepy(), closed(callers=2, sessions=5, connect_rate=1.0, warmup=0.0, duration=1.0))
    assert result.sessions.opened == 5
    assert len(result.sessions.opening) == 5
    assert trio.current_time() - began == pytest.approx(5, abs=0.1)  # four seconds of opening, one of load


async def test_sessions_are_replaced_when_they_are_old_without_an_error(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), opened(200, sessions=4, churn=2.0, warmup=0.0, duration=6.0))
    assert not result.all.errors
    assert len(result.all.due) == result.offered
    assert result.sessions.replaced == pytest.approx(12, abs=2)
    assert result.sessions.replaced <= result.sessions.opened <= result.sessions.replaced + 4
    assert result.sessions.lost == 0


async def test_sessions_are_not_old_before_the_load_begins(autojump_clock: MockClock) -> None:
    result = await measure(sleepy(), opened(200, sessions=10, churn=0.05, connect_rate=2.0, duration=1.0))
    assert not result.all.errors
    assert result.sessions.opened > 100


async def test_a_session_that_is_lost_is_counted_and_opened_again(autojump_clock: MockClock) -> None:
    server = sleepy()

    async def cut() -> None:
        await trio.sleep(3)
        next(iter(clients)).close()

    clients: list[trimcp.Client] = []

    class Counting(Operation):
        async def send(self, client: trimcp.Client, tally: object) -> str | None:
            if client not in clients:
                clients.append(client)
            return await super().send(client, tally)  # type: ignore[arg-type]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut)
        operation = Counting("work", "tools/call", {"name": "work", "arguments": {}})
        result = await measure(server, opened(100, in_flight=4), operation)
    assert result.sessions.lost == 1
    assert result.sessions.opened == 2
    assert set(result.all.errors) <= {"connection lost"}
    # What was due while there was no session waited for the next one.
    assert result.all.due.greatest > 100 * MILLISECOND
    assert len(result.all.due) + result.all.failed == result.offered


async def test_a_server_that_is_gone_for_good_does_not_hold_a_run(autojump_clock: MockClock) -> None:
    server = sleepy()
    is_gone = False

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[trimcp.Client]:
        if is_gone:
            raise trimcp.ConnectionLost("it is gone")
        async with trimcp.connect(server) as client:
            yield client

    async def prepare(client: trimcp.Client) -> list[Operation]:
        nursery.start_soon(leave, client)
        return [tool("work")]

    async def leave(client: trimcp.Client) -> None:
        nonlocal is_gone
        await trio.sleep(0.5)
        is_gone = True
        client.close()

    async with trio.open_nursery() as nursery:
        result = await run_load(connect, closed(warmup=0.0, requests=60, patience=2.0), prepare)
    assert result is not None
    assert len(result.all.due) == pytest.approx(50, abs=2)
    assert set(result.all.errors) == {"connection lost", "no session"}
    assert result.sessions.failed["connection lost"] > 0


async def test_a_first_session_that_cannot_be_opened_ends_the_run(autojump_clock: MockClock) -> None:
    with pytest.raises(trimcp.SessionFailed):
        await measure(trimcp.Server("old", revisions=["2024-11-05"]), closed(), revision="2026-07-28")


async def test_a_wrong_operation_ends_the_run_before_it_begins(autojump_clock: MockClock) -> None:
    async def prepare(client: object) -> list[Operation]:
        raise UsageError("there is no tool")

    server = sleepy()
    with pytest.raises(UsageError, match="there is no tool"):
        await run_load(lambda: trimcp.connect(server), closed(), prepare)


# --- streams --------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_streams_are_kept_open_and_their_notices_counted(autojump_clock: MockClock, revision: str) -> None:
    server = sleepy()

    @server.resource("data://clock")
    async def clock() -> str:
        return "12"

    async def change() -> None:
        while True:
            await trio.sleep(0.5)
            server.notify_resource_updated("data://clock")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        plan = closed(callers=1, sessions=2, listens=4, uris=("data://clock",))
        result = await measure(server, plan, revision=revision)
        nursery.cancel_scope.cancel()
    assert result.streams.opened == 4
    assert result.streams.lost == 0
    assert result.streams.notices == pytest.approx(4 * 10, abs=4)


async def test_streams_alone_hold_the_sessions_for_the_duration(autojump_clock: MockClock) -> None:
    server = sleepy()
    began = trio.current_time()
    result = await measure(server, closed(callers=0, sessions=3, listens=3))
    assert trio.current_time() - began == pytest.approx(6, abs=0.2)
    assert result.streams.opened == 3
    assert result.offered == 0


# --- the plan -------------------------------------------------------------------------


def test_a_plan_is_divided_among_processes() -> None:
    plan = opened(100, in_flight=10, waiting=7, sessions=5, listens=3, requests=11, connect_rate=4.0)
    shares = [plan.share(Share(each, 2)) for each in range(2)]
    assert [share.sessions for share in shares] == [3, 2]
    assert [share.requests for share in shares] == [6, 5]
    assert [share.listens for share in shares] == [2, 1]
    assert [share.connect_rate for share in shares] == [2.0, 2.0]
    assert sum(share.load.in_flight for share in shares) == 10  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="raise --sessions"):
        closed(callers=4).share(Share(1, 2))


def test_a_plan_without_work_or_time_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to do"):
        closed(callers=0)
    with pytest.raises(UsageError, match="above 0"):
        closed(duration=0.0)
