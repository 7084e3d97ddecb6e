"""Rounds of questions over HTTP: each on another connection, and at another server of the same keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.clients import Modern
from tests.http.raw import Http, serving
from tests.http.workshop import Workshop, by_name

ASKED = {"elicitation": {"form": {}}}
ADA = {"action": "accept", "content": {"name": "Ada"}}
KEYS = [b"k" * 32]


async def first_round(http: Http, principal: str | None = None) -> dict[str, Any]:
    """Call a tool that asks; what comes back is the question."""
    answer = await Modern(http, ASKED, principal).call("ask")
    assert (await answer.begun()).status == 200
    result: dict[str, Any] = await answer.result()
    assert result["resultType"] == "input_required"
    (asked,) = result["inputRequests"].values()
    assert asked["method"] == "elicitation/create"
    return result


def replies(result: dict[str, Any]) -> dict[str, Any]:
    """What the retry carries."""
    return {"inputResponses": dict.fromkeys(result["inputRequests"], ADA), "requestState": result["requestState"]}


async def test_a_question_is_answered_on_another_connection(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        asked = await first_round(http)
        assert await (await Modern(http, ASKED).call("ask", id=2, **replies(asked))).text() == "Hello Ada."


async def test_a_question_is_answered_at_another_server_with_the_same_keys(door: str) -> None:
    async with serving(door, Workshop(keys=KEYS).server) as http:
        asked = await first_round(http)
    async with serving(door, Workshop(keys=KEYS).server) as http:
        assert await (await Modern(http, ASKED).call("ask", id=2, **replies(asked))).text() == "Hello Ada."


async def test_a_server_with_other_keys_does_not_take_the_state(door: str) -> None:
    async with serving(door, Workshop(keys=KEYS).server) as http:
        asked = await first_round(http)
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http, ASKED).call("ask", id=2, **replies(asked))
        assert (await answer.error())["code"] == -32602


@pytest.mark.parametrize("principal", ["bob", ""])
async def test_the_state_is_good_for_its_principal_alone(door: str, principal: str) -> None:
    async with serving(door, Workshop().server, authenticate=by_name) as http:
        asked = await first_round(http, "ada")
        answer = await Modern(http, ASKED, principal).call("ask", id=2, **replies(asked))
        assert (await answer.error())["code"] == -32602
        assert await (await Modern(http, ASKED, "ada").call("ask", id=2, **replies(asked))).text() == "Hello Ada."


async def test_a_question_after_a_stream_has_begun_comes_on_it(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        only = {"Accept": "text/event-stream"}
        answer = await Modern(http, ASKED).call("ask", fields=only)
        (message,) = await answer.messages()
        assert message["result"]["resultType"] == "input_required"
        assert answer.is_complete
