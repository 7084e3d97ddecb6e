"""The reports of a run: as text, JSON, CSV, HTML and a log of HdrHistogram; and results that add up."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import attrs
import orjson
import pytest
from rich.console import Console

from tests.bench.reports import HOSTILE, MS, histogram, report, result
from trimcp.bench import csv_file, hdr, page, table
from trimcp.bench.conditions import condition_of
from trimcp.bench.find_max import judged
from trimcp.bench.histogram import Histogram
from trimcp.bench.live import Moving, opened
from trimcp.bench.result import CONVERTER, MOST_POINTS, Point, Result, Timeline
from trimcp.bench.run import Progress
from trimcp.bench.svg import even_axis, line_chart, log_axis
from trimcp.bench.verdict import verdict_on
from trimcp.errors import UsageError


def test_the_table_has_both_times_of_each_operation_and_the_rest() -> None:
    text = table.text(report())
    assert re.search(r"add +100 +50 +2 +due +1\.00 ms +50\.\d ms +90\.\d ms +99\.\d ms +100 ms +100 ms", text)
    assert re.search(r"\n +sent +1\.00 ms", text)
    for line in (
        "offered    102 in 2 s (51.0/s), achieved 100 (50.0/s), dropped 0",
        "errors     code -32603 × 2",
        "sessions   2 opened (p50 5.01 ms, max 7.00 ms), 1 lost, 0 replaced, failed: connection lost × 3",
        "streams    1 opened, 0 lost, 8 notices",
        "bytes      1000 B sent, 2.00 KiB received",
        "server     25% of a processor (5,000 µs a result), 1.00 MiB, at most 2.00 MiB, 1 process",
        "generator  30% of a processor (6,000 µs a result), waited for it 0% of the time, late by 100 µs (p99)",
        "valid: the load generator kept up",
    ):
        assert f"\n{line}" in text, line


def test_a_closed_loop_has_corrected_times_in_place_of_those_from_due() -> None:
    found = result()
    found.operations[0].corrected = histogram(7)
    closed = report(found, is_open=False)
    text = table.text(closed)
    assert re.search(r"\nadd +100 +50 +2 +sent +1\.00 ms", text)
    assert re.search(r"\n +corrected +7\.00 ms", text)
    assert "due  " not in text
    assert closed.as_json()["operations"][0]["corrected"]["p99"] == 7
    assert "<td>corrected</td><td>7.00 ms</td>" in page.text(closed)
    row = list(csv.DictReader(io.StringIO(csv_file.text(closed))))[1]
    assert (row["corrected_p50_ms"], row["corrected_max_ms"]) == ("7.0", "7.0")


def test_the_table_of_a_search_has_its_steps_and_its_end() -> None:
    steps = tuple(
        judged(rate, result(due=histogram(time), rate=rate), [condition_of("p99<50ms")])
        for rate, time in ((100, 10), (200, 80))
    )
    text = table.text(report(steps=steps))
    assert re.search(
        r"\n +100/s +100/s +10\.\d ms +10\.\d ms  yes\n +200/s +200/s +80\.\d ms .* p99<50ms: 80\.\d ms", text
    )
    assert text.endswith("100/s are held; 200/s are not: p99<50ms: 80.0 ms")


def test_the_json_has_a_schema_and_survives() -> None:
    whole = json.loads(orjson.dumps(report().as_json()))
    assert whole["schema"] == 1
    add = whole["operations"][0]
    assert (add["name"], add["results"], add["errors"]) == ("add", 100, {"code -32603": 2})
    assert add["due"]["p99"] == pytest.approx(99, rel=0.01)
    assert add["sent"]["max"] == 1.0
    assert Histogram.from_json(add["histograms"]["due"]) == histogram(*range(1, 101))
    assert whole["timeline"]["points"][1]["memory"] == 2 * 2**20
    assert whole["verdict"] == {"verdict": "valid", "invalid": [], "notes": [], "gates": []}


def test_the_csv_has_a_row_for_all_each_operation_and_each_second() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_file.text(report()))))
    assert [row["scope"] for row in rows] == ["all", "operation", "operation", "second", "second"]
    assert float(rows[1]["due_p50_ms"]) == pytest.approx(50, rel=0.01)
    assert rows[4]["begin_s"] == "1"
    assert rows[2]["due_p50_ms"] == ""
    assert rows[1]["corrected_p50_ms"] == ""
    assert all(None not in row and None not in row.values() for row in rows)


def test_a_cell_is_no_formula() -> None:
    found = result()
    found.operations[0].name = "=cmd()"
    assert "\noperation,'=cmd()," in csv_file.text(report(found))


class Elements(HTMLParser):
    """The elements of a page, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_runs_nothing_and_escapes_all() -> None:
    text = page.text(report())
    elements = Elements()
    elements.feed(text)
    assert not elements.open
    names = {tag for tag, _ in elements.seen}
    assert not names & {"script", "link", "img", "iframe", "object", "a"}
    assert not any(key in {"src", "href", "onload", "style"} for _, found in elements.seen for key in found)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(found for tag, found in elements.seen if "http-equiv" in found)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_the_page_has_charts_with_names() -> None:
    text = page.text(report())
    labels = re.findall(r'role="img" aria-label="([^"]+)"', text)
    assert labels == [
        "requests a second: offered, results, errors",
        "time from due: p50, p99, max",
        "memory of the server: memory",
        "time by percentile: due, sent",
    ]
    for points in re.findall(r'points="([^"]+)"', text):
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 720
            assert 0 <= y <= 260


def test_the_page_of_an_invalid_run_says_so_first() -> None:
    found = result(cpu=0.99)
    text = page.text(report(found, verdict_on(found)))
    assert '<p class="bad">INVALID: the load generator used 99%' in text


def test_a_page_without_any_result_can_be_written() -> None:
    found = result(due=histogram())
    found.timeline = Timeline()
    assert page.text(report(found, verdict_on(found)))


def test_axes_have_round_marks_that_enclose_the_values() -> None:
    axis = even_axis([3.0, 97.0], str)
    assert list(axis.marks()) == [0, 20, 40, 60, 80, 100]
    axis = log_axis([0.0, 0.002, 0.7], str)
    assert list(axis.marks()) == pytest.approx([1e-3, 1e-2, 1e-1, 1])
    assert axis.at(0.0) == 0
    assert axis.at(0.01) == pytest.approx(1 / 3)
    assert list(even_axis([], str).marks())


def test_a_long_line_is_thinned() -> None:
    points = [(float(x), 1.0) for x in range(5000)]
    chart = line_chart("a", [("b", points)], even_axis([5000.0], str), even_axis([1.0], str), "x")
    assert len(re.findall(r"\d,", chart.split('points="')[1].split('"')[0])) <= 1002


def test_the_log_of_hdrhistogram_has_the_same_times(tmp_path: object) -> None:
    from hdrh.histogram import HdrHistogram

    lines = [line for line in hdr.text(report()).splitlines() if line.startswith("Tag=")]
    assert [line.split(",")[0] for line in lines][:2] == ["Tag=due-add", "Tag=sent-add"]
    decoded = HdrHistogram.decode(lines[0].split(",")[-1])
    assert decoded.get_total_count() == 100
    assert decoded.get_value_at_percentile(99) == pytest.approx(99 * MS, rel=0.01)
    assert "," not in lines[3].removeprefix("Tag=").split(",0.000,")[0]


# --- while it lasts -------------------------------------------------------------------


def seconds() -> list[Progress]:
    point = Point(50, 48, 1, 2, 7, histogram(*range(1, 51)), 2**20)
    return [Progress("warm-up", 1, 3, Point()), Progress("measuring", 1, 3, point)]


def test_lines_show_each_second(capsys: pytest.CaptureFixture[str]) -> None:
    with opened(live=False, plain=True) as view:
        for second in seconds():
            view.show(second)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("warm-up       1  offered 0 ")
    assert second == (
        "measuring     1  offered 50  results 48  errors 1  dropped 2  in flight 7  p50 25.0 ms  p99 50.0 ms  "
        "sessions 3  memory 1.00 MiB"
    )


def test_the_moving_table_shows_the_last_seconds() -> None:
    view = Moving(rows=3)
    for number in range(5):
        for each in seconds():
            view.show(attrs.evolve(each, second=number))
    console = Console(width=120, file=io.StringIO())
    console.print(view.live.renderable)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.split() for line in shown.splitlines()]
    assert [line[:2] for line in lines[1:]] == [["measuring", "3"], ["warm-up", "4"], ["measuring", "4"]]
    assert "memory" in lines[0]


def test_without_a_view_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with opened(live=False, plain=False) as view:
        view.show(seconds()[0])
    assert capsys.readouterr() == ("", "")


# --- compared -------------------------------------------------------------------------


def test_a_comparison_shows_each_figure_before_and_now() -> None:
    old = report().as_json()
    slower = result(due=histogram(*range(2, 201, 2)), rate=25)
    text = table.comparison(report(slower).as_json(), old)
    assert re.search(r"\nall +rate +50/s +25/s +0\.50\n", text)
    assert re.search(r"\nadd +p50 +50\.\d ms +100\.?\d? ms +2\.00\n", text)
    assert re.search(r"\nadd +errors +2 +2 +1\.00", text)


def test_a_comparison_names_what_is_another_and_what_is_new() -> None:
    old = report().as_json()
    old["plan"]["load"] = "open loop, 5/s"
    old["verdict"]["invalid"] = ["late"]
    del old["operations"][1]
    text = table.comparison(report().as_json(), old)
    assert "another one: the load was open loop, 5/s, and is open loop, 51/s, " in text
    assert "the earlier run was invalid" in text
    assert re.search(r"\nread <script>.* new", text)


def test_a_report_of_another_form_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="not complete"):
        table.comparison(report().as_json(), {"schema": 1})


# --- results of several processes -----------------------------------------------------


def test_results_survive_json_and_add_up() -> None:
    one = CONVERTER.structure(orjson.loads(orjson.dumps(CONVERTER.unstructure(result()))), Result)
    assert attrs.asdict(one) == attrs.asdict(result())
    one.add(result(cpu=0.5, dropped=7))
    assert (one.offered, one.answered, one.dropped) == (102 + 109, 200, 7)
    assert len(one.all.due) == 200
    assert one.all.errors == {"code -32603": 4}
    assert one.busiest.cpu == 0.5
    assert one.sessions.failed == {"connection lost": 6}
    assert [point.answered for point in one.timeline.points] == [100, 100]
    assert one.timeline.points[0].in_flight == 6
    assert one.received_bytes == 4096


def test_a_timeline_is_bounded_and_loses_no_count() -> None:
    timeline = Timeline()
    for _ in range(2 * MOST_POINTS + 3):
        timeline.append(Point(offered=1, in_flight=2, times=histogram(1)))
    assert timeline.seconds == 4
    assert len(timeline.points) <= MOST_POINTS
    assert sum(point.offered for point in timeline.points) == 2 * MOST_POINTS + 3
    assert timeline.points[0].in_flight == 2
    other = Timeline()
    for _ in range(8):
        other.append(Point(offered=10))
    timeline.add(other)
    assert [point.offered for point in timeline.points[:3]] == [44, 44, 4]
