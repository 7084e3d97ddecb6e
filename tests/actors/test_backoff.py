"""How long is waited before another try, and when it is over."""

from __future__ import annotations

import pytest

from trimcp.actors.backoff import BUDGET, LEAST, LONGEST, Backoff
from trimcp.http.client.http_client import may_pass


def test_pauses_grow_with_jitter_up_to_a_limit_and_then_it_is_over() -> None:
    backoff = Backoff()
    pauses = [backoff.next_pause() for _ in range(BUDGET)]
    for number, pause in enumerate(pauses):
        most = min(LONGEST, 0.5 * 2**number)
        assert pause is not None
        assert most / 2 <= pause <= most
    assert backoff.next_pause() is None


def test_two_clients_do_not_come_back_at_once() -> None:
    assert len({Backoff().next_pause() for _ in range(20)}) > 1


def test_what_was_worth_it_begins_from_the_first_pause() -> None:
    backoff = Backoff()
    for _ in range(100):
        pause = backoff.next_pause()
        assert pause is not None
        assert pause <= 0.5
        backoff.succeeded()


def test_the_server_is_never_asked_earlier_than_it_wants() -> None:
    backoff = Backoff()
    assert backoff.next_pause(0.11) == 0.11
    assert all((backoff.next_pause(7) or 0) >= 7 for _ in range(5))


def test_without_a_budget_it_is_never_over() -> None:
    backoff = Backoff(budget=None)
    assert all(backoff.next_pause() is not None for _ in range(1000))


@pytest.mark.parametrize(
    ("status", "passes"), [(400, False), (404, False), (429, True), (500, True), (501, False), (503, True)]
)
def test_some_refusals_pass(status: int, passes: bool) -> None:
    assert may_pass(status) is passes


def test_a_server_that_asks_for_no_pause_is_given_one() -> None:
    backoff = Backoff()
    for _ in range(100):
        pause = backoff.next_pause(0.0)
        assert pause is not None and pause >= LEAST
        backoff.succeeded()
