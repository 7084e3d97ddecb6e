"""`trimcp call --task`, and `trimcp tasks`: the state, the result and the end of a task by its id."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


@ERAS
def test_a_task_from_its_id_to_its_result(run: Run, shop: str, revision: str) -> None:
    where = (shop, "--revision", revision)
    begun = run("call", "--task", *where, "slow_bread", "kind=rye")
    assert begun.code == 0
    id = begun.out.strip()
    assert f"trimcp tasks result TARGET {id}" in begun.err
    assert run("tasks", "get", *where, id).out.startswith(f"{id}\n  ")
    assert run("tasks", "get", *where, id, "--json").json["taskId"] == id
    done = run("tasks", "result", *where, id, "-v")
    assert (done.code, done.out) == (0, "rye bread\n")
    assert "completed" in done.err
    assert run("call", "--task", "--json", *where, "slow_bread", "kind=rye").json["status"] == "working"


@ERAS
def test_a_task_is_cancelled(run: Run, shop: str, revision: str) -> None:
    where = (shop, "--revision", revision)
    id = run("call", "--task", *where, "slow_bread", "kind=never").out.strip()
    assert run("tasks", "cancel", *where, id).code == 0
    ended = run("tasks", "result", *where, id)
    assert ended.code == 1
    assert f"the task {id} was cancelled" in ended.err


def test_a_tool_that_is_no_task_gives_its_result(run: Run, shop: str) -> None:
    assert "rye" in run("call", "--task", shop, "place", 'order={"bread": "rye"}', "tags=a").out


def test_wrong_words_are_refused(run: Run, shop: str) -> None:
    assert "one of list, get, result, cancel" in run("tasks", "show", shop).err
    assert run("tasks", "get", shop).err == "trimcp: get takes the ID of one task\n"
    assert run("tasks", "list", shop, "7").err == "trimcp: list takes only a TARGET\n"
    assert "keep the ids" in run("tasks", "list", shop).err
    assert "(code -32602)" in run("tasks", "get", shop, "7").err
