"""The requests that wait for an answer: `InboundRequests` and `OutboundRequests`."""

from __future__ import annotations

import attrs

from trimcp.session.call import Call
from trimcp.session.outbound_requests import GIVEN_UP, OutboundRequests
from trimcp.session.register import InboundRequests
from trimcp.types.jsonrpc import RequestId

CALL = Call(1, "ping", None, None)


@attrs.define(eq=False)
class Asked:
    serial: int
    id: RequestId
    size: int = 0
    is_settled: bool = False


def test_requests_are_known_by_their_serial_and_found_by_their_id() -> None:
    register: InboundRequests[Asked] = InboundRequests()
    first, second, other = Asked(1, 7), Asked(2, 7), Asked(3, "7")
    for request in (first, second, other):
        register.add(request)
    assert register.with_id(7) == [first, second]
    assert register.with_id("7") == [other]
    assert register.with_id(8) == []
    assert (7 in register.by_id, 8 in register.by_id, len(register)) == (True, False, 3)
    register.remove(first)
    register.remove(first)
    assert register.with_id(7) == [second]
    register.remove(second)
    assert 7 not in register.by_id
    assert list(register) == [other]


def test_a_walk_over_the_requests_may_end_them() -> None:
    register: InboundRequests[Asked] = InboundRequests()
    for serial in range(5):
        register.add(Asked(serial, serial))
    for request in register:
        register.remove(request)
    assert len(register) == 0


def test_ids_count_up_and_are_never_used_again() -> None:
    register: OutboundRequests = OutboundRequests()
    ids = []
    for _ in range(5):
        ids.append(register.new_id())
        register.add(ids[-1], CALL)
        register.answered(ids[-1])
    assert ids == [1, 2, 3, 4, 5]


def test_an_answer_takes_its_call_once_and_by_the_type_of_its_id() -> None:
    register: OutboundRequests = OutboundRequests()
    register.add(1, CALL)
    assert register.answered("1") is None
    assert register.answered(None) is None
    assert register.waiting(1) is CALL
    assert register.answered(1) is CALL
    assert register.answered(1) is None
    assert register.waiting(1) is None


def test_a_call_that_was_given_up_is_remembered_for_a_while() -> None:
    register: OutboundRequests = OutboundRequests()
    for id in range(GIVEN_UP + 10):
        register.add(id, CALL)
        assert register.give_up(id)
        assert not register.give_up(id)
    assert not register.was_given_up(0)
    assert register.was_given_up(GIVEN_UP)
    assert not register.was_given_up(None)
    assert len(register._given_up) == GIVEN_UP
