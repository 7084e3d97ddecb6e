"""The invariants of the simulation are found violated where they are: a check that finds nothing proves nothing."""

import pytest

from benchmarks.cluster.ledger import Call, Ledger, Outcome


async def called(ledger: Ledger, *messages: dict[str, object]) -> Call:
    """Begin a call that gets these answers."""
    call = ledger.begin("ring", "client")
    for message in messages:
        call.answer({"jsonrpc": "2.0", "id": 1, **message})
    return call


RESULT = {"result": {"content": []}}
LOST = {"error": {"code": -32603, "message": "lost", "data": {"reason": "node_lost"}}}
REFUSED = {"error": {"code": -31001, "message": "busy"}}


@pytest.mark.parametrize(
    ("messages", "rung", "outcome"),
    [
        ([RESULT], 1, Outcome.ANSWERED),
        ([LOST], 0, Outcome.NODE_LOST),
        ([LOST], 1, Outcome.NODE_LOST),
        ([REFUSED], 0, Outcome.REFUSED),
    ],
)
async def test_what_may_be_is_no_violation(messages: list[dict[str, object]], rung: int, outcome: Outcome) -> None:
    ledger = Ledger()
    call = await called(ledger, *messages)
    assert call.outcome is outcome
    assert ledger.violations([call.key] * rung) == []


@pytest.mark.parametrize(
    ("messages", "rung", "text"),
    [
        ([], 0, "was never answered: "),
        ([RESULT], 0, "answered, and the bell rang 0 times"),
        ([RESULT], 2, "answered, and the bell rang 2 times"),
        ([RESULT, RESULT], 1, "was answered 2 times"),
        ([LOST, RESULT], 1, "was answered 2 times"),
        ([LOST], 2, "told node_lost, and the bell rang 2 times"),
        ([REFUSED], 1, "refused, not run, and the bell rang 1 times"),
        ([{"error": {"code": -32603, "message": "oh"}}], 0, "failed: another error -32603 oh"),
        ([{"result": {"isError": True}}], 0, "failed: another error {'isError': True}"),
    ],
)
async def test_what_must_not_be_is_a_violation(messages: list[dict[str, object]], rung: int, text: str) -> None:
    ledger = Ledger()
    call = await called(ledger, *messages)
    [violation] = ledger.violations([call.key] * rung)
    assert violation.endswith(text)


def test_an_effect_without_a_call_is_a_violation() -> None:
    ledger = Ledger()
    ledger.violate("a session was answered with 404")
    assert ledger.violations(["x-1"]) == [
        "a session was answered with 404",
        "the bell rang for x-1, which no client asked for",
    ]
