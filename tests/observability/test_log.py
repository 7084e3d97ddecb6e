"""The logger: where it writes, what it passes over, and that it never stands in anybody's way."""

import io
import sys
import time
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from tests.programs import run_python
from trimcp.observability import log


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    before = log._threshold
    yield
    log._threshold = before


def test_lines_go_to_whatever_stderr_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    log.warning("bread.burnt", loaves=3)
    monkeypatch.setattr(sys, "stderr", second)
    log.warning("bread.sold")
    assert "level=warning event=bread.burnt loaves=3" in first.getvalue()
    assert "bread.sold" not in first.getvalue()
    assert "event=bread.sold" in second.getvalue()


def test_a_stderr_that_is_closed_or_broken_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (closed, Broken()):
        monkeypatch.setattr(sys, "stderr", stream)
        log.error("bread.burnt", exc_info=ValueError("too hot"))


def test_without_a_stderr_nothing_is_written_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log.error("bread.burnt")
    assert capsys.readouterr().out == ""


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_level("error")
    log.warning("bread.sold")
    log.error("bread.burnt")
    assert "bread.sold" not in (said := capsys.readouterr().err)
    assert "bread.burnt" in said
    log.set_level("off")
    log.error("shop.closed")
    assert capsys.readouterr().err == ""
    assert not log.debugging()
    log.set_level("debug")
    assert log.debugging()


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid log level 'loud': use one of debug, info"):
        log.set_level("loud")


def test_a_program_that_has_configured_structlog_gets_the_events() -> None:
    structlog.configure()
    try:
        with capture_logs() as captured:
            log.error("bread.burnt", loaves=3)
    finally:
        structlog.reset_defaults()
    assert captured == [{"event": "bread.burnt", "log_level": "error", "loaves": 3}]


EVIL = "\x1b[31m\x00\x9b\u061c\u202e\u2066\u2028\ud800\n\t\r" + "x" * 100_000
RAW = set("\x1b\x00\x9b\u061c\u202e\u2066\u2028\ud800\t\r")


def test_a_text_of_a_peer_is_cut_and_cannot_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.warning("bread.burnt", name=EVIL, id=10**5000, names=[EVIL], mapping={EVIL: 1})
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert not RAW & set(line)
    assert r"\x1b[31m" in line
    assert 'id="integer of 16610 bits"' in line
    assert len(line) < 3000


def test_no_renderer_of_the_program_gets_a_raw_text() -> None:
    structlog.configure()
    try:
        with capture_logs() as captured:
            log.error("bread.burnt", exc_info=ValueError(EVIL), name=EVIL)
    finally:
        structlog.reset_defaults()
    (entry,) = captured
    assert not RAW - {"\t"} & set("".join(map(str, entry.values())))
    assert entry["exception"].startswith("ValueError: \\x1b")
    assert max(len(str(value)) for value in entry.values()) < 20_000


def test_a_processor_or_a_value_that_raises_ends_nothing() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("no words for it")

    def fails(*_: object) -> str:
        raise RuntimeError("this renderer is broken")

    structlog.configure(processors=[fails])
    try:
        log.error("bread.burnt")
    finally:
        structlog.reset_defaults()
    log.error("bread.burnt", loaf=Unprintable())


def test_lines_of_one_event_are_throttled_and_the_next_says_how_many(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(600):
        log.warning("bread.burnt")
        log.error("oven.failed")
    log.warning("bread.sold")
    assert capsys.readouterr().err.count("\n") == 2 * log.BURST + 1
    now += 1.5
    for _ in range(5):
        log.warning("bread.burnt")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("event=bread.burnt suppressed=590")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def raises_deep(text: str) -> None:
    raise ValueError(text)


def test_on_a_terminal_a_traceback_has_lines_and_elsewhere_it_is_part_of_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        raises_deep("too hot\nTraceback of another\x1b[2J")
    except ValueError as exc:
        failure = exc
    for stream, is_one in ((Screen(), False), (io.StringIO(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        log.error("bread.burnt", exc_info=failure)
        written = stream.getvalue()
        assert (written.count("\n") == 1) == is_one
        assert "in raises_deep" in written
        assert "\x1b" not in written
        assert all(line.startswith("    ") for line in written.splitlines()[1:])


def test_nothing_is_imported_for_a_line() -> None:
    program = """
import sys
import time
from trimcp.observability import log
before = {*sys.modules}
log.error("bread.burnt", exc_info=ValueError("too hot"), name="rye")
print(*{*sys.modules} - before)
"""
    done = run_python("-c", program)
    assert "too hot" in done.stderr
    assert done.stdout.split() == []
