"""The command line's own answers: what it says, and with which exit code it ends."""

from pathlib import Path

import pytest

import trimcp
from tests.programs import ROOT, run_python
from trimcp.cli import main
from trimcp.errors import ConnectionLost, UsageError

INITIALIZE = (
    '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", '
    '"capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}}\n'
)


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "trimcp COMMAND --help shows its options"),
        (["--log-level", "debug"], "the following arguments are required: COMMAND"),
        (["run"], "the following arguments are required: FILE[:NAME]"),
        (["bake"], "invalid choice: 'bake'"),
        (["--log-level", "loud", "demo"], "invalid choice: 'loud'"),
        (["demo", "--colourful"], "unrecognized arguments: --colourful"),
    ],
)
def test_arguments_that_are_none_are_refused_with_the_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: trimcp")
    assert said in told


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--version") == 0
    assert capsys.readouterr().out == f"trimcp {trimcp.__version__}\n"


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("run", "no/such/file.py") == 2
    assert capsys.readouterr().err == "trimcp: there is no file no/such/file.py\n"


def test_failures_from_a_nursery_are_said_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*, plain: bool, auth: bool) -> int:
        raise ExceptionGroup("", [UsageError("one"), ExceptionGroup("", [ConnectionLost("two")])])

    monkeypatch.setattr("trimcp.cli.demo.demo", fail)
    assert code_of("demo") == 1
    assert capsys.readouterr().err == "trimcp: one\ntrimcp: two\n"


def test_ctrl_c_has_the_exit_code_of_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*, plain: bool, auth: bool) -> int:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])

    monkeypatch.setattr("trimcp.cli.demo.demo", fail)
    assert code_of("demo") == 130


@pytest.mark.parametrize(
    ("source", "suffix", "said"),
    [
        ("import trimcp\n", "", "must have exactly one trimcp.Server"),
        ("import trimcp\na = trimcp.Server('a')\nb = trimcp.Server('b')\n", "", "has a, b: name one"),
        ("import trimcp\na = trimcp.Server('a')\n", ":b", "b in {path} is missing"),
        ("import trimcp\na = trimcp.Server('a')\nb = 1\n", ":b", "b in {path} is not a trimcp.Server"),
    ],
)
def test_a_file_without_one_server_is_refused_with_words_that_help(
    source: str, suffix: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "server.py"
    path.write_text(source)
    done = run_python("-m", "trimcp", "run", f"{path}{suffix}", expect=[2])
    assert done.stdout == ""
    assert done.stderr.startswith("trimcp: ")
    assert said.format(path=path) in done.stderr


def test_run_answers_on_stdout_and_keeps_prints_off_it(tmp_path: Path) -> None:
    path = tmp_path / "server.py"
    path.write_text("import trimcp\nprint('hello')\none = other = trimcp.Server('named twice')\n")
    done = run_python("-m", "trimcp", "run", path, stdin=INITIALIZE)
    assert '"serverInfo":{"name":"named twice","version":"0"}' in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == "hello\n"


def test_run_finds_the_modules_beside_the_file_and_the_server_by_name(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("NAME = 'from next door'\n")
    path = tmp_path / "server.py"
    path.write_text(
        "import trimcp\nimport neighbour\na = trimcp.Server('a')\nb = trimcp.Server(neighbour.NAME)\n"
        "if __name__ == '__main__':\n    raise SystemExit('not a program here')\n"
    )
    done = run_python("-m", "trimcp", "run", f"{path}:b", stdin=INITIALIZE, cwd=ROOT)
    assert '"name":"from next door"' in done.stdout


def test_the_log_level_is_taken_from_the_command_line() -> None:
    done = run_python("-m", "trimcp", "--log-level", "debug", "run", "examples/add.py", stdin=INITIALIZE)
    assert "event=handshake.completed" in done.stderr
