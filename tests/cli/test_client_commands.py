"""The commands that are a client: what they print, where, and with which exit code they end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SHOP, Done, Run
from tests.programs import ROOT
from trimcp.cli import main

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


def code_line(done: Done) -> str:
    return done.err.splitlines()[0]


# --- list -----------------------------------------------------------------------------


def test_list_shows_what_there_is_with_its_arguments(run: Run, shop: str) -> None:
    done = run("list", shop)
    assert done.code == 0
    assert done.err == ""
    for expected in (
        "The Shop 1.2 (2026-07-28)\n  Be kind.\n  Always.\n",
        '\ntools\n  place(order: {bread: "rye" | "spelt", loaves?: integer}, tags: string[], note: string | null',
        " = null, ratio: number = 0.5) → object\n",
        "      Place an order.\n      order  what is wanted.\n      tags   how it is found again.\n",
        "\nprompts\n  greet(name, tone?)\n      Greet somebody.\n      name  whom.\n",
        "\nresources\n  shop://motd  text/plain\n      Message of the day\n      What is on the board.\n",
        "\ntemplates\n  shop://shelves/{number}\n",
    ):
        assert expected in done.out


def test_list_as_json_is_one_object_of_what_the_server_said(run: Run, shop: str) -> None:
    listed = run("list", shop, "--json").json
    assert (listed["server"]["name"], listed["protocolVersion"]) == ("shop", "2026-07-28")
    assert [tool["name"] for tool in listed["tools"]][:2] == ["place", "who"]
    assert listed["resourceTemplates"][0]["uriTemplate"] == "shop://shelves/{number}"
    assert set(run("list", shop, "tools", "prompts", "--json").json) >= {"tools", "prompts"}
    assert "resources" not in run("list", shop, "tools", "--json").json


def test_a_list_that_there_is_not_is_refused(run: Run, shop: str) -> None:
    done = run("list", shop, "tool")
    assert (done.code, done.err) == (2, "trimcp: there is no list of tool; did you mean tools?\n")


# --- call -----------------------------------------------------------------------------


@ERAS
def test_call_types_its_arguments_by_the_schema_and_prints_the_text(run: Run, shop: str, revision: str) -> None:
    words = ['order={"bread": "rye", "loaves": 2}', "tags=a", "tags=b", "ratio=2"]
    done = run("call", shop, "place", *words, "--revision", revision)
    assert done.code == 0
    assert json.loads(done.out) == {"order": "2 rye", "tags": "a+b", "note": "None", "ratio": "2.0"}


def test_call_as_json_is_the_whole_result(run: Run, shop: str) -> None:
    done = run("call", shop, "place", "--json-args", '{"order": {"bread": "rye"}}', "--json", "tags=x")
    assert done.json["structuredContent"]["order"] == "1 rye"
    assert done.json["content"][0]["type"] == "text"


def test_a_tool_that_fails_says_so_on_stderr(run: Run, shop: str) -> None:
    done = run("call", shop, "refuse")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("trimcp: the tool refuse reported an error\n")
    assert run("call", shop, "refuse", "--json").json["isError"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plaice"], "there is no tool plaice; did you mean place?"),
        (["bake", "loaves=many"], "loaves must be integer, not 'many'"),
        (["bake", "loafs=3"], "there is no argument loafs; did you mean loaves?"),
        ([], "no TOOL is given: trimcp list shows the tools"),
    ],
)
def test_a_mistake_in_a_call_is_exit_code_2(run: Run, shop: str, words: list[str], said: str) -> None:
    done = run("call", shop, *words)
    assert (done.code, code_line(done)) == (2, f"trimcp: {said}")


def test_an_answer_that_does_not_come_is_exit_code_4(run: Run, shop: str) -> None:
    done = run("call", shop, "rest", "--timeout", "0.2", "--json")
    assert done.code == 4
    assert "not answered within 0.2 s" in done.json["error"]["message"]


@ERAS
def test_progress_and_log_messages_are_shown_on_stderr(run: Run, shop: str, revision: str) -> None:
    done = run("call", shop, "bake", "loaves=3", "-v", "--log-level", "info", "--revision", revision)
    assert done.out == "3 loaves\n"
    lines = done.err.splitlines()
    assert lines[0].startswith(f"connected: shop 1.2 speaks {revision} (http")
    assert "progress: 3 of 3  loaf 2" in lines
    assert lines.count("info      oven: a loaf is in") == 3


# --- what the server asks -------------------------------------------------------------


@ERAS
def test_a_form_is_filled_in_at_the_terminal(run: Run, shop: str, typing: Callable[..., object], revision: str) -> None:
    typing("maybe", "yes", "Ada", "old", "36", "2", "")
    done = run("call", shop, "who", "--revision", revision)
    assert done.out == "accept Person(name='Ada', age=36, bread='spelt', regular=True)\n"
    for expected in ("The Shop asks: Who are you?", "  a whole number, such as 12", "  1. rye", "yes or no [yes]: "):
        assert expected in done.err


@pytest.mark.parametrize(
    ("typed", "action"), [(["n"], "decline"), (["c"], "cancel"), (["y", "Ada"], "cancel"), ([], "cancel")]
)
def test_a_form_may_be_declined_or_left(
    run: Run, shop: str, typing: Callable[..., object], typed: list[str], action: str
) -> None:
    typing(*typed)
    assert run("call", shop, "who").out == f"{action} None\n"


@pytest.mark.parametrize(("typed", "action"), [("y", "accept"), ("n", "decline")])
def test_a_page_is_shown_with_its_address_and_agreed_to(
    run: Run, shop: str, typing: Callable[..., object], typed: str, action: str
) -> None:
    typing(typed)
    done = run("call", shop, "pay")
    assert done.out == f"{action}\n"
    assert (
        "The Shop asks: Pay here\nIt asks you to open this page:\n\n"
        "  https://pay.example/1\n          ^^^^^^^^^^^\n  host: pay.example\n"
    ) in done.err


def test_a_page_that_may_be_another_is_warned_of_and_what_is_no_page_is_declined(
    run: Run, tmp_path: Path, typing: Callable[..., object]
) -> None:
    path = tmp_path / "sly.py"
    path.write_text(
        "import trimcp\nserver = trimcp.Server('sly')\n"
        "@server.tool\nasync def visit(url: str, *, ctx: trimcp.Context) -> str:\n"
        "    return (await ctx.elicit_url('Look', url, id='1')).action\n"
    )
    typing("y")
    done = run("call", str(path), "visit", "url=http://bank.example@evil.example/", "--inherit-env")
    assert done.out == "accept\n"
    assert (
        "  host: evil.example\n  ! The page is not encrypted (http)\n  ! The text before @ is not the host" in done.err
    )
    done = run("call", str(path), "visit", "url=file:///etc/passwd", "--inherit-env")
    assert done.out == "decline\n"
    assert "which is no web page" in done.err


@ERAS
def test_without_a_terminal_the_server_is_not_told_of_one(run: Run, shop: str, revision: str) -> None:
    done = run("call", shop, "who", "--revision", revision)
    assert done.code == 1
    assert (
        "        the server asked for user input (elicitation): run this on a terminal, or give --answers FILE"
        in done.err
    )


def test_answers_come_from_a_file(run: Run, shop: str, tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text('{"name": "Ada", "age": 36, "shoe": 44}')
    done = run("call", shop, "who", "--answers", str(answers))
    assert done.out == "accept Person(name='Ada', age=36, bread='rye', regular=True)\n"
    assert done.err == "The Shop asked: Who are you?: accept\n"
    assert run("call", shop, "pay", "--answers", str(answers)).out == "decline\n"
    answers.write_text('["accept"]')
    assert run("call", shop, "pay", "--answers", str(answers)).out == "accept\n"
    answers.write_text('[{"name": "Ada", "age": "old"}]')
    done = run("call", shop, "who", "--answers", str(answers))
    assert done.out == "decline None\n"
    assert "does not answer the server's form: age: expected integer" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is not JSON"), ('["maybe"]', "must hold an object, or a list"), (None, "cannot read")],
)
def test_answers_that_are_none_are_a_mistake(run: Run, shop: str, tmp_path: Path, text: str | None, said: str) -> None:
    answers = tmp_path / "answers.json"
    if text is not None:
        answers.write_text(text)
    done = run("call", shop, "who", "--answers", str(answers))
    assert done.code == 2
    assert said in done.err


@ERAS
def test_a_model_is_not_offered_and_that_is_said(run: Run, shop: str, revision: str) -> None:
    done = run("call", shop, "think", "--revision", revision)
    assert done.code == 1
    assert done.err.endswith("        the server asked for a model (sampling): the command line has none\n")


@ERAS
def test_roots_are_the_folders_that_were_given(run: Run, shop: str, tmp_path: Path, revision: str) -> None:
    done = run("call", shop, "where", "--root", str(tmp_path), "--json", "--revision", revision)
    assert done.json["structuredContent"] == {"result": [tmp_path.as_uri()]}


# --- read, prompt, complete, ping -----------------------------------------------------


def test_read_prints_what_is_in_it_as_it_is(shop: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["read", shop, "shop://picture"])
    assert ended.value.code == 0
    assert capfdbinary.readouterr().out == b"\x89PNG\x00\xff"


def test_read_writes_files_and_json(run: Run, shop: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = run("read", shop, "shop://shelves/7", "--output", str(kept))
    assert (done.code, done.out, kept.read_text()) == (0, "", "shelf 7")
    assert run("read", shop, "shop://motd", "--json").json["contents"][0]["text"] == "Fresh bread!"
    done = run("read", shop, "shop://cellar", "--json")
    assert (done.code, done.json["error"]["data"]) == (1, {"uri": "shop://cellar"})
    assert run("read", shop).code == 2
    assert run("read", shop, "shop://motd", "-o", str(tmp_path / "no" / "where")).code == 2


def test_prompt_prints_its_messages(run: Run, shop: str) -> None:
    done = run("prompt", shop, "greet", "name=Ada", "tone=wild")
    assert done.out == "Greet somebody.\nuser:\n  Say hello to Ada, wild.\n"
    assert run("prompt", shop, "greet", "name=Ada", "--json").json["messages"][0]["role"] == "user"
    assert run("prompt", shop, "greet").code == 1
    assert run("prompt", shop).code == 2


def test_complete_prints_how_it_may_go_on(run: Run, shop: str) -> None:
    assert run("complete", shop, "--prompt", "greet", "tone=w", "name=Ada").out == "warm\nwild\n"
    assert run("complete", shop, "--prompt", "greet", "tone=c", "--json").json["values"] == ["cold"]
    assert run("complete", shop, "tone=w").code == 2


def test_ping_says_who_answered_and_how_fast(run: Run, shop: str) -> None:
    done = run("ping", shop, "-n", "2")
    assert done.out.count("shop 1.2, 2026-07-28: ") == 2
    pinged = run("ping", shop, "--json", "--revision", "2025-06-18").json
    assert (pinged["protocolVersion"], len(pinged["milliseconds"])) == ("2025-06-18", 1)
    assert run("ping", shop, "shop").code == 2


# --- listen ---------------------------------------------------------------------------


@ERAS
def test_listen_prints_changes_until_it_has_had_enough(shop: str, revision: str) -> None:
    import subprocess

    command = [sys.executable, "-m", "trimcp", "listen", shop, "--revision", revision]
    options = ["--tools", "shop://motd", "-n", "2", "--json"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stderr.readline() == "listening to tools, shop://motd\n"
        done = subprocess.run(
            [sys.executable, "-m", "trimcp", "call", shop, "open_up"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.stdout == b"open\n"
        notices = [json.loads(line) for line in process.stdout]
        assert process.wait(30) == 0
    by_kind = {notice["notice"]: notice for notice in notices}
    assert by_kind == {"tools": {"notice": "tools"}, "resource": {"notice": "resource", "uri": "shop://motd"}}


# --- where to -------------------------------------------------------------------------


def test_a_command_may_follow_in_place_of_a_target(run: Run) -> None:
    command = [sys.executable, "-m", "trimcp", "run", str(SHOP)]
    done = run("prompt", "greet", "name=Ada", "--env", f"PYTHONPATH={ROOT}", "--", *command)
    assert done.out.endswith("Say hello to Ada, warm.\n")


def test_a_script_is_started(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.fspath(ROOT))
    assert run("read", str(SHOP), "shop://motd", "--inherit-env").code == 0


def test_a_name_is_looked_up_in_a_configuration(run: Run, shop: str, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"the shop": {"url": shop}, "other": {"command": "x"}}}))
    assert run("ping", "the shop", "--config", str(path)).code == 0
    done = run("ping", "shop", "--config", str(path))
    assert done.code == 2
    assert "has no server shop; did you mean the shop?" in done.err


def test_header_fields_are_sent_and_never_shown(run: Run, shop: str) -> None:
    assert run("ping", shop, "--header", "X-Token: secret").code == 0
    done = run("ping", shop, "--header", "secret")
    assert (done.code, done.err) == (2, "trimcp: --header takes NAME: VALUE, not 'secret'\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ping", "tcp://127.0.0.1:1"], 3, "cannot connect to tcp 127.0.0.1:1: "),
        (["ping", "http://127.0.0.1:1/mcp"], 3, "cannot connect to http://127.0.0.1:1/mcp: "),
        (["ping", "gopher://127.0.0.1"], 2, "cannot connect to gopher://127.0.0.1"),
        (["ping", "nothing-of-the-kind"], 2, "neither a script nor a command"),
        (["ping", "--", sys.executable, "-c", "raise SystemExit(7)"], 3, "exited with status 7"),
        (["ping", "--"], 2, "nothing follows --: write the command of a server"),
        (["ping"], 2, "the following arguments are required: TARGET"),
        (["ping", "x", "--timeout", "0"], 2, "'0' is not a number of seconds above 0"),
        (["ping", "x", "--revision", "1999-01-01"], 2, "invalid choice: '1999-01-01'"),
    ],
)
def test_where_nothing_is_reached_the_exit_code_says_why(run: Run, arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["ping", "listen"])
@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_count_is_a_number_from_1_on(run: Run, shop: str, command: str, count: str) -> None:
    done = run(command, shop, f"--count={count}")
    assert done.code == 2
    assert "is not an integer from 1 on" in done.err
