"""`trimcp bench` as a user runs it, on servers in processes of their own. Each load takes a part of a second."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from tests.programs import ROOT, run_python

SLOW = Path(__file__).with_name("slow.py")
SHORT = ("--warmup", "0.1s", "--duration", "0.4s", "--max-late", "10s")
"""A load that is no measurement, on a machine that may be busy: its own lateness does not matter."""


@attrs.frozen
class Done:
    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        return orjson.loads(self.out)


def bench(*words: str | Path, expect: tuple[int, ...] = (0,)) -> Done:
    done = run_python("-m", "trimcp", "bench", *words, expect=expect)
    return Done(done.returncode, done.stdout, done.stderr)


# A slow machine may make the generator the limit, which is no failure of these tests.
MAY_BE_BUSY = (0, 6)


@pytest.fixture(scope="module")
def serving() -> Iterator[dict[str, str]]:
    """The server over HTTP, HTTP+SSE, WebSocket: their URLs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "trimcp", "run", str(SLOW), "--http", "127.0.0.1:0", "--sse"]
    command += ["--websocket", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stderr is not None
        words = [word for _ in range(2) for word in process.stderr.readline().split()]
        kinds = {"http": r"http:.*/mcp", "sse": r"http:.*/sse", "ws": "ws:.*"}
        urls = {kind: next(word for word in words if re.fullmatch(form, word)) for kind, form in kinds.items()}
        yield {"pid": str(process.pid), **urls}
        process.terminate()
        assert process.wait(30) == 0


def test_a_mix_over_stdio_in_an_open_loop_makes_every_report(tmp_path: Path) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "csv", "html", "hdr")}
    done = bench(
        SLOW, *SHORT, "--call@3", "add", "a=1", "b=2", "--read", "data://clock", "--prompt@2", "greet", "name=Ada",
        "--list", "prompts", "--ping", "--call", "fail", "--rate", "200", "--arrivals", "poisson", "--seed", "1",
        "--plain", *(word for kind, path in files.items() for word in (f"--{kind}", path)), expect=MAY_BE_BUSY,
    )  # fmt: skip
    report = orjson.loads(files["json"].read_bytes())
    assert [each["name"] for each in report["operations"]] == [
        "add", "fail", "list prompts", "read data://clock", "prompt greet", "ping"
    ]  # fmt: skip
    add, fail, *others = report["operations"]
    assert add["results"] > fail["errors"]["tool error"] > 0
    assert fail["results"] == 0
    assert all(each["results"] > 0 for each in others)
    assert report["offered"] == sum(each["results"] for each in report["operations"]) + fail["errors"]["tool error"]
    assert report["server"]["name"] == "slow"
    assert report["server_processes"]["processes"] == 1
    assert report["server_processes"]["memory"] > 2**20
    assert report["bytes"]["sent"] > 1000
    assert "open loop, 200/s, poisson arrivals" in done.out
    assert "measuring     1" in done.err
    assert files["html"].read_text().startswith("<!DOCTYPE html>")
    assert files["csv"].read_text().startswith("scope,")
    assert files["hdr"].read_text().count("\nTag=") == 12


def test_a_server_that_stalls_is_noticed_and_a_gate_fails() -> None:
    # From the fiftieth of 150 calls on, it stops for 0.4 s. With room for two, nearly all wait for a place.
    done = bench(
        SLOW, "--warmup", "0s", "--duration", "0.6s", "--call", "stall", "--rate", "250", "--in-flight", "2",
        "--fail-if", "p99>300ms", "--json", "-", "--max-late", "10s", expect=(5, 6),
    )  # fmt: skip
    whole = done.report["all"]
    assert whole["due"]["p99"] > 300
    assert whole["due"]["p90"] > 4 * whole["sent"]["p90"]
    assert done.report["verdict"]["gates"][0]["failed"] is True


@pytest.mark.parametrize(
    ("transport", "options"),
    [
        ("http", ("--revision", "2026-07-28")),
        ("http", ("--revision", "2025-11-25")),
        ("sse", ("--transport", "sse")),
        ("ws", ()),
    ],
)
def test_a_closed_loop_over_a_network(serving: dict[str, str], transport: str, options: tuple[str, ...]) -> None:
    target = (f"{serving[transport]}?key=secret", "--header", "X-Key: secret", *options)
    done = bench(
        *target, *SHORT, "--call", "add", "a=1", "b=2", "--concurrency", "4", "--sessions", "2",
        "--requests", "40", "--json", "-", "--server-pid", serving["pid"], expect=MAY_BE_BUSY,
    )  # fmt: skip
    report = done.report
    assert report["all"]["results"] == 40
    assert not report["all"]["errors"]
    assert report["sessions"]["opened"] == 2
    assert report["server_processes"]["processes"] == 1
    assert min(report["bytes"].values()) > 40 * len('{"jsonrpc":"2.0","id":1,"result":{}}')
    assert "secret" not in done.out


def test_a_closed_loop_over_a_unix_socket(tmp_path: Path) -> None:
    program = f"import trio, sys; sys.path.insert(0, {str(SLOW.parent)!r}); from slow import server\n"
    program += f"trio.run(server.serve_unix, {str(tmp_path / 'socket')!r})\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        try:
            end = time.monotonic() + 30
            while not (tmp_path / "socket").exists() and time.monotonic() < end:
                time.sleep(0.02)
            target = f"unix:{tmp_path / 'socket'}"
            done = bench(target, *SHORT, "--ping", "--requests", "20", "--json", "-", expect=MAY_BE_BUSY)
            assert done.report["all"]["results"] == 20
            assert min(done.report["bytes"].values()) > 20 * len('{"jsonrpc":"2.0","id":1,"result":{}}')
        finally:
            process.terminate()
            with contextlib.suppress(ProcessLookupError):
                process.wait(30)


def test_several_workers_share_a_load_and_add_up() -> None:
    done = bench(
        *SHORT, "--workers", "2", "--sessions", "2", "--call", "steps", "--progress", "--rate", "100", "--json", "-",
        "--", sys.executable, "-m", "trimcp", "run", str(SLOW), expect=MAY_BE_BUSY,
    )  # fmt: skip
    report = done.report
    assert report["all"]["results"] == report["offered"] == pytest.approx(40, abs=2)
    assert report["all"]["progress_reports"] >= 3 * 40 - 12
    assert len(report["generator"]["cpu"]) == 2
    assert report["sessions"]["opened"] == 2
    assert report["server_processes"]["processes"] == 2


def test_a_failure_of_workers_is_reported_as_of_one() -> None:
    done = bench(SLOW, "--workers", "2", "--sessions", "2", "--call", "ad", "a=1", "--concurrency", "2", expect=(2,))
    assert done.err == "trimcp: there is no tool ad; did you mean add?\n"
    done = bench("--workers", "2", "--sessions", "2", "--concurrency", "2", "--", "false", expect=(3,))
    assert "exited with status 1" in done.err


@pytest.mark.parametrize("is_twice", [False, True])
def test_ctrl_c_ends_the_workers_and_their_servers_and_reports_what_was_measured(is_twice: bool) -> None:
    # A second Ctrl-C does not wait for the call that hangs.
    words = ["--workers", "2", "--sessions", "2", "--rate", "50", "--warmup", "0s", "--plain", "--json", "-"]
    words += ["--patience", "20s", "--call", "hang"] if is_twice else ["--ping"]
    command = [sys.executable, "-m", "trimcp", "bench", str(SLOW), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert "measuring" in process.stderr.readline()
        group = children_of(process.pid)
        assert len(group) == 2
        servers = [pid for worker in group for pid in children_of(worker)]
        assert len(servers) == 2
        process.send_signal(signal.SIGINT)
        if is_twice:
            time.sleep(1)  # two signals at once are one
            process.send_signal(signal.SIGINT)
            assert not process.stdout.read()
        else:
            report = orjson.loads(process.stdout.read())
            assert report["interrupted"] is True
            assert report["verdict"]["verdict"] == "interrupted"
            assert report["all"]["results"] > 20
            assert report["seconds"] < 30
        assert process.wait(30) == 130
    assert not [pid for pid in (*group, *servers) if Path(f"/proc/{pid}").exists()]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def test_payloads_from_a_mix_and_a_comparison(tmp_path: Path) -> None:
    mix = tmp_path / "mix.toml"
    mix.write_text(
        '[[operation]]\ncall = "echo"\narguments = {text = "{payload}"}\nweight = 4\n'
        '[[operation]]\nping = true\nname = "are you there"\n'
    )
    words = (SLOW, *SHORT, "--mix", mix, "--payload", "10, 2k", "--rate", "100")
    old = tmp_path / "old.json"
    bench(*words, "--json", old, expect=MAY_BE_BUSY)
    names = [each["name"] for each in orjson.loads(old.read_bytes())["operations"]]
    assert names == ["echo 10", "echo 2k", "are you there"]
    done = bench(*words, "--compare", old, expect=MAY_BE_BUSY)
    assert "compared with the report of" in done.out
    assert "echo 2k" in done.out.partition("compared")[2]


def test_a_search_for_a_rate_that_no_server_holds_ends() -> None:
    # Nothing is answered within a nanosecond.
    words = ("--find-max", "p50<1ns", "--rate", "1.9", "--ping", "--warmup", "0s", "--duration", "0.7s")
    done = bench(SLOW, *words, "--max-late", "10s", expect=(5, 6))
    assert "no rate was held, down to 1.9/s" in done.out


# --- wrong usage ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--rate", "5", "--concurrency", "2"), "do not go together"),
        (("--stages", "1s:5", "--rate", "2"), "do not go together"),
        (("--stages", "1s:5", "--duration", "2s"), "its own duration"),
        (("--find-max", "p99<5ms", "--concurrency", "2"), "chooses the rate"),
        (("--find-max", "p99"), "not a condition"),
        (("--fail-if", "speed<5"), "no figure speed"),
        (("--payload", "1k", "--ping"), "{payload}"),
        (("--call",), "expected at least one argument"),
        (("--call@0", "add"), "a weight is a number above 0"),
        (("--ping", "http://localhost"), "put TARGET before the options"),
        (("--mix", "/nowhere.toml"), "cannot read /nowhere.toml"),
        (("--json", "/no/where/x.json"), "no such folder"),
        (("--compare", "/nowhere.json"), "cannot read /nowhere.json"),
        (("--rate", "0"), "above 0"),
        (("--live", "--plain"), "not allowed with"),
    ],
)
def test_wrong_usage_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], problem: str
) -> None:
    from trimcp.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["bench", str(SLOW), *words])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "must have an [[operation]]"),
        ("[[operation]]\nweight = 1", "must have one of call, list, read, prompt, ping"),
        ('[[operation]]\ncall = "add"\nwait = 1', "there is no wait; did you mean weight?"),
        ('[[operation]]\ncall = "add"\nweight = 0', "weight must be a number above 0"),
        ("[[operation]]\ncall = 1", "call must be a string"),
        ('[[operation]]\nread = "x:"\narguments = {a = 1}', "arguments must be a table, of a call or a prompt"),
        ("[[", "is not TOML"),
    ],
)
def test_a_wrong_mix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str) -> None:
    from trimcp.cli import main

    (tmp_path / "mix.toml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(SLOW), "--mix", str(tmp_path / "mix.toml")])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
