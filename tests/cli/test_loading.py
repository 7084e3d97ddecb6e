"""The file of a server: how the command line loads it, and what it says of a file that it cannot use."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.programs import PATIENCE, ROOT, run_python

SERVER = """\
import sys, trimcp
server = trimcp.Server("notes")

@server.tool
def words() -> list[str]:
    "Tell the arguments of the program."
    return sys.argv[1:]
"""
ENDS = {
    "nothing": "",
    "a bare run": "server.run()\nraise RuntimeError('never here')\n",
    "a guarded run": 'if __name__ == "__main__":\n    server.run()\n',
}
INITIALIZE = (
    '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", '
    '"capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}}\n'
    '{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
    '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "words", "arguments": {}}}\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "notes.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("end", ENDS)
def test_a_file_is_served_over_stdio_however_it_ends(end: str, tmp_path: Path) -> None:
    path = write(tmp_path, SERVER + ENDS[end])
    done = run_python("-m", "trimcp", "run", path, "--", "a", "--b", stdin=INITIALIZE)
    assert '{"result":["a","--b"]}' in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("options", [("--http", "127.0.0.1:0"), ("--port", "0"), ("--hypercorn", ":0")])
def test_a_file_is_served_as_the_options_say_however_it_ends(
    end: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    path = write(tmp_path, SERVER + ENDS[end])
    command = [sys.executable, "-m", "trimcp", "run", str(path), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("trimcp: notes on http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "end",
    [
        "server.run_http(0)\n",
        "import trio; trio.run(server.serve_stdio)\n",
        "import trio; trio.run(server.serve_http, 0)\n",
        "import trio; trio.run(server.serve_tcp)\n",
    ],
)
def test_a_file_that_serves_by_other_means_is_told_to_guard_it(end: str, tmp_path: Path, run: Run) -> None:
    path = write(tmp_path, SERVER + end)
    done = run("run", str(path), "--http", ":0")
    assert done.code == 2
    assert "notes.py, line 8: " in done.err
    assert 'guard that line with `if __name__ == "__main__":`' in done.err


def test_the_named_server_is_served_even_if_the_file_runs_another(tmp_path: Path) -> None:
    path = write(tmp_path, "import trimcp\nother = trimcp.Server('other')\n" + SERVER + "other.run()\n")
    done = run_python("-m", "trimcp", "run", f"{path}:server", stdin=INITIALIZE)
    assert '"serverInfo":{"name":"notes"' in done.stdout


BROKEN = {
    "def f(:\n    pass\n": "SyntaxError",
    "import not_there_at_all\n": "ModuleNotFoundError: No module named 'not_there_at_all'",
    "1 / 0\n": "ZeroDivisionError",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_cannot_be_loaded_shows_its_line_once(text: str, tmp_path: Path, run: Run) -> None:
    path = write(tmp_path, text)
    done = run("run", str(path))
    assert done.code == 1
    assert done.err.startswith(f"trimcp: cannot load {path}\n")
    assert BROKEN[text] in done.err
    assert done.err.count("line 1") == 1
    assert done.err.count("File ") == 1


def test_an_invalid_declaration_is_shown_with_its_line(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path, SERVER + '\n\n@server.tool("plus")\ndef plus(a: int) -> int:\n    return a\n')
    done = run("run", str(path))
    assert done.code == 2
    assert done.err.endswith(
        "notes.py, line 10: 'plus' is a text, not a function: write name='plus' if it is the name\n"
    )


# --- a file as the target of a client -------------------------------------------------


OTHER_MAINS = {
    "HTTP": 'if __name__ == "__main__":\n    server.run_http(0)\n',
    "a program": 'if __name__ == "__main__":\n    print("a demonstration")\n    sys.exit(1)\n',
}


@pytest.mark.parametrize("end", [*ENDS.values(), *OTHER_MAINS.values()], ids=[*ENDS, *OTHER_MAINS])
def test_a_client_uses_a_file_however_it_ends(end: str, tmp_path: Path) -> None:
    path = write(tmp_path, SERVER + end)
    done = run_python("-m", "trimcp", "list", path, "--inherit-env", "--timeout", str(PATIENCE))
    assert "words() → string[]" in done.stdout
    assert done.stderr == ""


MADE_BY_MAIN = "import trimcp\ndef main():\n    trimcp.Server('made').run()\nif __name__ == '__main__':\n    main()\n"
NO_TRIMCP = """\
import sys, os
assert __name__ == "__main__"
os.execv(sys.executable, [sys.executable, "-c", "import trimcp; trimcp.Server('made').run()"])
"""


@pytest.mark.parametrize("text", [MADE_BY_MAIN, NO_TRIMCP], ids=["a server that main makes", "another library"])
def test_a_file_without_a_server_object_runs_as_a_program(text: str, tmp_path: Path) -> None:
    done = run_python("-m", "trimcp", "list", write(tmp_path, text), "--inherit-env")
    assert "made 0" in done.stdout
    assert done.stderr == ""


def test_a_client_can_name_one_server_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, SERVER + "other = trimcp.Server('other')\n")
    done = run_python("-m", "trimcp", "list", f"{path}:server", "--inherit-env")
    assert "words() → string[]" in done.stdout
    done = run_python("-m", "trimcp", "list", path, "--inherit-env", expect=[3])
    assert "has server, other: name one, as" in done.stderr


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_cannot_be_loaded_is_started_once(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    done = run_python("-m", "trimcp", "list", path, "--inherit-env", expect=[3])
    assert done.stderr.count("line 1") == 1
    assert done.stderr.count("File ") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what a pipe still holds")
def test_a_command_that_exits_before_it_reads_is_started_once() -> None:
    done = run_python("-m", "trimcp", "list", "--", "sh", "-c", "echo started >&2; exit 3", expect=[3])
    assert done.stderr.splitlines().count("started") == 1


def test_a_server_that_does_not_survive_the_probe_is_started_again(tmp_path: Path) -> None:
    first_line = f"""\
import json, sys
line = sys.stdin.readline()
if "initialize" not in line:
    sys.exit(1)
exec(open({str(write(tmp_path, SERVER))!r}).read())
import io, os
read, write = os.pipe()
os.write(write, line.encode())
print(json.dumps({{"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {{"protocolVersion": "2025-11-25",
    "capabilities": {{}}, "serverInfo": {{"name": "old", "version": "0"}}}}}}), flush=True)
sys.stdin.read()
"""
    path = tmp_path / "old.py"
    path.write_text(first_line)
    done = run_python("-m", "trimcp", "list", path, "--inherit-env")
    assert "old 0 (2025-11-25)" in done.stdout


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("notes", "add --config FILE if it is a server's name in a configuration"),
        ("my-notes_2", "add --config FILE if it is a server's name in a configuration"),
        ("127.0.0.1:8000/mcp", "write http://127.0.0.1:8000/mcp if it is an address"),
        ("localhost:8000", "write http://localhost:8000 if it is an address"),
        ("[::1]:8000/mcp", "write http://[::1]:8000/mcp if it is an address"),
        ("mcp.example.com/mcp", "write http://mcp.example.com/mcp if it is an address"),
        ("notes.py", "there is no script notes.py"),
    ],
)
def test_a_target_that_is_none_is_asked_about(target: str, says: str, run: Run) -> None:
    done = run("list", target)
    assert done.code == 2
    assert says in done.err


def test_a_server_says_on_a_terminal_that_it_waits(tmp_path: Path) -> None:
    path = write(tmp_path, SERVER)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "trimcp", "run", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        assert process.stderr.readline() == "trimcp: notes waits on stdio for messages; Ctrl-C ends it\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    os.close(ours)


def test_nested_fields_are_listed(tmp_path: Path) -> None:
    text = """\
import dataclasses, trimcp
from typing import Annotated

server = trimcp.Server("shop")

@dataclasses.dataclass
class Item:
    name: Annotated[str, "what to buy"]
    count: int = 1

@server.tool
def order(items: list[Item]) -> str:
    return ""
"""
    done = run_python("-m", "trimcp", "list", write(tmp_path, text), "--inherit-env")
    assert "order(items: {name: string, count?: integer}[]) → string" in done.stdout
    assert "      items.name  what to buy\n" in done.stdout


def test_errors_of_prompts_and_resources_have_the_reason_and_the_uri(tmp_path: Path) -> None:
    text = SERVER + "@server.prompt\ndef ask(count: int) -> str:\n    return ''\n"
    path = write(tmp_path, text + "@server.resource('note://{name}')\ndef note(name: str) -> None: ...\n")
    done = run_python("-m", "trimcp", "prompt", path, "ask", "count=x", "--inherit-env", expect=[1])
    assert "Invalid arguments for the prompt ask" in done.stderr
    assert "$.arguments.count" in done.stderr
    done = run_python("-m", "trimcp", "read", path, "note://a", "--inherit-env", expect=[1])
    assert "note://a" in done.stderr


@pytest.mark.parametrize("before", [True, False])
def test_the_log_level_has_one_meaning_before_and_after_the_command(before: bool, tmp_path: Path) -> None:
    text = SERVER + "@server.tool\ndef tell(ctx: trimcp.Context) -> None:\n    ctx.log('warning', 'look out')\n"
    path = write(tmp_path, text)
    level = ["--log-level", "notice"]
    words = [*(level if before else ()), "call", path, "tell", "--inherit-env", *(() if before else level)]
    assert "look out" in run_python("-m", "trimcp", *words).stderr
    assert "look out" not in run_python("-m", "trimcp", "call", path, "tell", "--inherit-env").stderr
