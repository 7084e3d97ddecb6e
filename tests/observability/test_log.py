"""The logger: where it writes, what it passes over, and that it never stands in anybody's way."""

import io
import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

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
    with pytest.raises(ValueError, match="no log level 'loud'; there are debug, info"):
        log.set_level("loud")


def test_a_program_that_has_configured_structlog_gets_the_events() -> None:
    structlog.configure()
    try:
        with capture_logs() as captured:
            log.error("bread.burnt", loaves=3)
    finally:
        structlog.reset_defaults()
    assert captured == [{"event": "bread.burnt", "log_level": "error", "loaves": 3}]
