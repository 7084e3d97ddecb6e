"""Rules, remembered decisions, the person, and the audit log, through whole clients."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.consent.hosts import Scripted, Silent, audited, notes, policy
from trimcp.consent import Choice, Rule
from trimcp.errors import ConsentRefused, UsageError
from trimcp.observability import log

REVISIONS = ("2025-11-25", "2026-07-28")


@pytest.fixture(params=REVISIONS)
def revision(request: Any) -> str:
    return str(request.param)


async def test_a_rule_decides_without_a_question(tmp_path: Path, revision: str) -> None:
    server, deleted = notes()
    for rules, is_allowed in (
        ([Rule("allow", tool="del*"), Rule("deny")], True),
        ([Rule("deny", tool="del*"), Rule("allow")], False),
        ([Rule("allow", tool="DEL*"), Rule("deny")], False),
        ([Rule("deny", server="in this process: other"), Rule("allow")], True),
        ([Rule("deny", server="in this process: n*"), Rule("allow")], False),
        ([Rule("deny", annotations={"destructiveHint": True}), Rule("allow")], False),
        ([Rule("deny", annotations={"readOnlyHint": True}), Rule("allow")], True),
    ):
        deleted.clear()
        async with trimcp.connect(server, revision=revision, consent=policy(tmp_path, rules=rules)) as client:
            if is_allowed:
                assert (await client.call_tool("delete", {"note": "a"})).text == "deleted a"
            else:
                with pytest.raises(ConsentRefused, match="The call of the tool delete was refused"):
                    await client.call_tool("delete", {"note": "a"})
        assert deleted == ["a"] * is_allowed, rules


async def test_a_raw_request_asks_as_well(tmp_path: Path, revision: str) -> None:
    server, deleted = notes()
    async with trimcp.connect(server, revision=revision, consent=policy(tmp_path)) as client:
        with pytest.raises(ConsentRefused):
            await client.request("tools/call", {"name": "delete", "arguments": {"note": "a"}})
    assert deleted == []
    (line,) = audited(tmp_path)
    assert (line["allowed"], line["by"], line["about"]) == (False, "no person to ask", "delete")


async def test_each_decision_is_an_event_with_what_the_audit_log_has(tmp_path: Path) -> None:
    server, _ = notes()
    with log.captured() as lines:
        async with trimcp.connect(server, consent=policy(tmp_path, Scripted(Choice.YES))) as client:
            await client.call_tool("delete", {"note": "a", "api_key": "sk-123456"})
    (event,) = [each.keys for each in lines if each.event == "consent.decided"]
    (line,) = audited(tmp_path)
    assert line == {**event, "time": line["time"]}
    assert (event["about"], event["allowed"], event["by"]) == ("delete", True, "person: yes")
    assert "sk-123456" not in str(lines)


async def test_a_yes_is_for_once_and_an_always_is_remembered(tmp_path: Path) -> None:
    server, deleted = notes()
    person = Scripted(Choice.YES, Choice.NO, Choice.ALWAYS)
    mine = policy(tmp_path, person)
    async with trimcp.connect(server, consent=mine) as client:
        await client.call_tool("delete", {"note": "a"})
        with pytest.raises(ConsentRefused):
            await client.call_tool("delete", {"note": "b"})
        await client.call_tool("delete", {"note": "c"})
    async with trimcp.connect(server, consent=policy(tmp_path)) as client:  # without a person
        await client.call_tool("delete", {"note": "d"})
    assert deleted == ["a", "c", "d"]
    assert [line["by"] for line in audited(tmp_path)] == ["person: yes", "person: no", "person: always", "remembered"]
    (decision,) = await mine.decisions.all()
    assert await mine.decisions.revoke([decision.id]) == 1
    async with trimcp.connect(server, consent=policy(tmp_path)) as client:
        with pytest.raises(ConsentRefused):
            await client.call_tool("delete", {"note": "e"})


async def test_calls_at_once_are_asked_one_by_one_and_an_always_answers_those_that_wait(tmp_path: Path) -> None:
    server, deleted = notes()
    person = Scripted(Choice.YES, Choice.ALWAYS)
    async with trimcp.connect(server, consent=policy(tmp_path, person)) as client, trio.open_nursery() as nursery:
        for note in "abcde":
            nursery.start_soon(client.call_tool, "delete", {"note": note})
    assert sorted(deleted) == list("abcde")
    assert (len(person.questions), person.most_open) == (2, 1)


async def test_no_answer_in_time_is_a_no(tmp_path: Path, mock_clock: MockClock) -> None:
    server, deleted = notes()
    person = Silent()

    async def call() -> None:
        with pytest.raises(ConsentRefused):
            await client.call_tool("delete", {"note": "a"})

    mine = policy(tmp_path, person, timeout=30)
    async with trimcp.connect(server, consent=mine) as client, trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await person.opened.wait()
        mock_clock.jump(29)
        await wait_all_tasks_blocked()
        assert not person.closed.is_set()
        mock_clock.jump(2)
    assert person.closed.is_set()
    assert deleted == []
    assert audited(tmp_path)[0]["by"] == "no answer in 30 s"


async def test_a_cancelled_call_closes_its_dialog_and_the_next_one_opens(tmp_path: Path) -> None:
    server, _ = notes()
    person = Silent()
    async with trimcp.connect(server, consent=policy(tmp_path, person)) as client:
        for _ in range(2):
            person.opened, person.closed = trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call_tool, "delete", {"note": "a"})
                await person.opened.wait()
                nursery.cancel_scope.cancel()
            await person.closed.wait()


async def test_a_dialog_whose_function_calls_a_tool_does_not_deadlock(tmp_path: Path, revision: str) -> None:
    """The form of one tool calls another tool, which needs a dialog too."""
    server, deleted = notes()

    @server.tool
    async def tidy(*, ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("Really?", {"type": "object", "properties": {"yes": {"type": "boolean"}}})
        return answer.action

    async def fill_in(params: Any) -> dict[str, Any]:
        await client.call_tool("delete", {"note": "in the form"})
        return {"yes": True}

    person = Scripted(*[Choice.YES] * 3)
    given = {"revision": revision, "elicitation": fill_in, "consent": policy(tmp_path, person)}
    async with trimcp.connect(server, **given) as client:
        assert (await client.call_tool("tidy")).text == "accept"
    assert deleted == ["in the form"]
    assert [question.text.splitlines()[0] for question in person.questions] == [
        "Call the tool tidy?",
        "Show this form of the server?",
        "Call the tool delete?",
    ]


async def test_members_of_a_group_have_the_name_that_the_host_gives_them(tmp_path: Path) -> None:
    person = Scripted(Choice.YES, Choice.YES)
    rules = [Rule("deny", server="work")]
    async with trimcp.open_group(consent=policy(tmp_path, person, rules)) as group:
        for name in ("home", "garden", "work"):
            await group.add(name, notes()[0])
        await group.wait_attempted()
        async with trio.open_nursery() as nursery:
            for name in ("home", "garden"):
                nursery.start_soon(group.call_tool, f"{name}__delete", {"note": "a"})
        with pytest.raises(ConsentRefused):
            await group.call_tool("work__delete", {"note": "a"})
    assert person.most_open == 1
    servers = [text.splitlines()[1] for text in person.texts]
    assert sorted(servers) == [
        'Server: garden (in this process: notes); it calls itself "notes"',
        'Server: home (in this process: notes); it calls itself "notes"',
    ]


async def test_the_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    server, _ = notes()
    async with trimcp.connect(server, consent=policy(tmp_path, Scripted(Choice.ALWAYS))) as client:
        await client.call_tool("delete", {"note": "a"})
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "consent").iterdir()}
    assert {"decisions.json", "audit.ndjson"} <= found.keys()
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "consent").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["decisions.json", "audit.ndjson"])
async def test_links_and_open_files_are_refused_and_nothing_is_called(tmp_path: Path, name: str) -> None:
    server, deleted = notes()
    directory = tmp_path / "consent"
    directory.mkdir(mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (directory / name).symlink_to(elsewhere)
    async with trimcp.connect(server, consent=policy(tmp_path)) as client:
        with pytest.raises(UsageError, match=f"{name} cannot be read"):
            await client.call_tool("delete", {"note": "a"})
        (directory / name).unlink()
        (directory / name).touch(0o644)
        (directory / name).chmod(0o644)
        with pytest.raises(UsageError, match=f"{name} is open to others"):
            await client.call_tool("delete", {"note": "a"})
    assert deleted == []
    assert elsewhere.read_text() == "mine"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"decisions": [{"is_allowed": true}]}', '{"decisions": 7}'])
async def test_a_damaged_file_allows_nothing(tmp_path: Path, damage: str) -> None:
    server, deleted = notes()
    mine = policy(tmp_path)
    (tmp_path / "consent").mkdir(mode=0o700)
    (tmp_path / "consent" / "decisions.json").touch(0o600)
    (tmp_path / "consent" / "decisions.json").write_text(damage)
    async with trimcp.connect(server, consent=mine) as client:
        with pytest.raises(ConsentRefused):
            await client.call_tool("delete", {"note": "a"})
    assert await mine.decisions.all() == []
    assert deleted == []


async def test_the_audit_log_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimcp.consent import audit_log

    monkeypatch.setattr(audit_log, "MOST_BYTES", 2000)
    audit = audit_log.AuditLog(tmp_path / "consent")
    for number in range(190):
        await audit.write({"number": number, "text": "x" * 80})
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "consent").glob("*.ndjson")}
    assert sizes.keys() == {"audit.ndjson", *(f"audit.{number}.ndjson" for number in range(1, 5))}
    assert max(sizes.values()) < 2200
    assert audited(tmp_path)[-1]["number"] == 189


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Rule("maybe"), "Invalid action 'maybe'"),  # type: ignore[arg-type]
        (lambda: Rule("allow", kind="dreams"), "Invalid kind 'dreams'"),  # type: ignore[arg-type]
        (lambda: Rule("allow", annotations={"safe": True}, server="a"), "Invalid annotation 'safe'"),
        (lambda: Rule("allow", annotations={"readOnlyHint": True}), "must name a server"),
        (lambda: Rule("allow", annotations={"readOnlyHint": True}, server="**"), "must name a server"),
        (lambda: Rule("allow", kind="page"), "opened only after a yes"),
        (lambda: Rule("deny", kind="form", tool="a"), "has no tool"),
    ],
)
def test_a_rule_that_is_a_mistake_is_refused(made: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        made()


async def test_an_answer_that_is_no_choice_is_an_error_and_no_yes(tmp_path: Path) -> None:
    class Careless(Scripted):
        async def decide(self, question: Any) -> Any:
            return True

    server, deleted = notes()
    async with trimcp.connect(server, consent=policy(tmp_path, Careless())) as client:
        with pytest.raises(UsageError, match="decide returned a bool: return a Choice"):
            await client.call_tool("delete", {"note": "a"})
    assert deleted == []
