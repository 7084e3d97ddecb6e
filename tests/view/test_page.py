"""The page in a real browser, with a server in a process of its own that is at work.

Playwright runs no Trio, and is driven from a thread: its own loop must not meet the one of the tests.
"""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node import Unavailable, installed
from tests.view.browser import MARKS, SIZES, expect
from tests.view.conftest import AT, printed, printing, shop_served
from tests.view.shop import SECRET

PARTS = ("Clients", "Messages", "Logs", "Tools", "Streams", "Actors", "Tasks")

pytestmark = MARKS


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, with what it fetched and what it complained of."""
    context = browser.new_context()
    page = context.new_page()
    page.complaints = []
    page.fetched = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.fetched.append(request.url))
    page.goto(address)
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    yield page
    assert page.complaints == []
    origin = address.partition("?")[0]
    assert [url for url in page.fetched if not url.startswith(origin)] == []
    context.close()


def test_the_page_shows_clients_and_what_they_wait_for(page: Any) -> None:
    row = page.get_by_role("row", name=re.compile("bake"))
    expect(row).to_contain_text("customer 1.0")
    expect(row).to_contain_text("running")
    expect(row).to_contain_text("1 of 12, kneading")
    assert re.fullmatch(
        r"""- tablist "Parts":
  - tab "Clients" \[selected\]
  - tab "Messages"
  - tab "Logs"
  - tab "Tools"
  - tab "Streams"
  - tab "Actors"
  - tab "Tasks"
  - tab "Try\"""",
        page.get_by_role("tablist").aria_snapshot(),
    )
    assert "token=" not in page.url


def test_messages_are_shown_whole_and_without_secrets(page: Any) -> None:
    page.get_by_role("tab", name="Messages").click()
    page.get_by_label("Filter").fill("log_in")
    page.get_by_role("button", name="show this message").first.click(timeout=60_000)
    whole = page.get_by_role("region", name=re.compile("^Message "))
    expect(whole).to_contain_text('"user": "ada"')
    expect(whole).to_contain_text("ada came with •••")
    assert SECRET not in page.content()
    page.get_by_label("Filter").fill("no such message")
    expect(page.get_by_text("No message.")).to_be_visible()


def test_lines_of_logs_lead_to_their_request(page: Any) -> None:
    page.get_by_role("tab", name="Logs").click()
    table = page.get_by_role("region", name="Logs, table")
    sent = table.get_by_role("row", name=re.compile('client {"user":"ada","password":•••}')).first
    expect(sent).to_contain_text("info")
    sent.get_by_role("button", name="only request").click()
    expect(table.get_by_role("row")).to_have_count(3)  # with the head
    expect(table).to_contain_text("ada came with password=•••")
    assert SECRET not in page.content()
    page.get_by_label("From level").select_option("warning")
    expect(table.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Show all requests").click()
    page.get_by_role("tab", name="Clients").click()
    page.get_by_role("row", name=re.compile("bake")).get_by_role("button", name="Log").click()
    expect(page.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("No line.")).to_be_visible()


def test_streams_and_tasks_show_what_a_client_waits_for(page: Any) -> None:
    page.get_by_role("tab", name="Streams").click()
    expect(page.get_by_role("region", name="Listens, table")).to_contain_text("stock://rye")
    expect(page.get_by_role("region", name="Watched resources, table")).to_contain_text("stock://rye")
    page.get_by_role("tab", name="Tasks").click()
    expect(page.get_by_role("region", name="Longest steps, table")).to_contain_text(re.compile(r"\w \(\S+\.py:\d+\)"))
    page.get_by_role("button", name="Take the stacks of all tasks").click()
    page.get_by_text("tools/call bake").click()
    expect(page.get_by_text("await trio.sleep_forever()").first).to_be_visible()
    page.get_by_label("Filter").fill("no such task")
    expect(page.get_by_text("tools/call bake")).to_have_count(0)


def test_tools_have_figures_that_grow(page: Any) -> None:
    page.get_by_role("tab", name="Tools").click()
    calls = page.get_by_role("row", name=re.compile("price")).get_by_role("cell").first
    expect(calls).to_have_text(re.compile(r"\d"))
    before = calls.inner_text()
    expect(calls).not_to_have_text(before)
    assert int(calls.inner_text().replace(",", "")) > int(before.replace(",", ""))
    expect(page.get_by_role("img", name="Durations of price")).to_be_visible()


def test_the_keyboard_alone_reaches_the_parts(page: Any) -> None:
    page.get_by_role("tab", name="Clients").focus()
    for part in PARTS[1:]:
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=part)).to_be_focused()
        expect(page.get_by_role("tabpanel", name=part)).to_be_visible()
    page.keyboard.press("ArrowLeft")
    group = page.get_by_role("tabpanel", name="Actors").locator("summary").first
    expect(group).to_be_visible()
    expect(page.get_by_text("subscription bus")).not_to_be_visible()
    page.keyboard.press("Tab")
    expect(group).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("subscription bus").first).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("region", name="Longest steps, table")).to_be_visible()
    page.keyboard.press("Tab")  # to the table, which may need scrolling
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Take the stacks of all tasks")).to_be_focused()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("tablet", "light"), ("desk", "dark")])
def test_every_part_is_accessible_and_fits(page: Any, size: str, scheme: str) -> None:
    try:
        axe = (installed("axe-core", "4.10.2") / "axe.min.js").read_text()
    except Unavailable as why:
        pytest.skip(str(why))
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.evaluate(axe)
    for part in PARTS:
        page.get_by_role("tab", name=part).click()
        expect(page.get_by_role("tabpanel", name=part)).to_be_visible()
        if part == "Tasks":
            page.get_by_role("button", name="Take the stacks of all tasks").click()
            page.get_by_text("tools/call bake").click()
            expect(page.get_by_text("await trio.sleep_forever()").first).to_be_visible()
        found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        assert (part, page.evaluate("() => document.documentElement.scrollWidth")) <= (part, width)


class _OtherOrigin(http.server.BaseHTTPRequestHandler):
    """A page at another port of loopback, without a policy of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another</title>")

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


OTHER_WAYS = (
    """view => new Promise(done => {
        const source = new EventSource(view + "events?trace=1", { withCredentials: true });
        source.onmessage = source.onopen = () => done("read");
        source.onerror = () => done("blocked");
    })""",
    """view => new Promise(done => {
        const socket = new WebSocket(view.replace("http:", "ws:") + "events");
        socket.onopen = () => done("read");
        socket.onerror = () => done("blocked");
    })""",
    """view => new Promise(done => {
        const script = document.createElement("script");
        script.src = view + "main.js";
        script.onload = () => done("read");
        script.onerror = () => done("blocked");
        document.head.append(script);
    })""",
    """view => new Promise(done => {
        const frame = document.createElement("iframe");
        frame.src = view;
        frame.onload = () => {
            try { done(frame.contentDocument ? "read" : "blocked"); } catch { done("blocked"); }
        };
        document.body.append(frame);
    })""",
)
"""Ways in which a page reaches for another origin."""
POST_BY_FORM = """address => {
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: address, enctype: "text/plain", target: "_self" });
    const frame = document.createElement("iframe");
    frame.name = form.target = "posted";
    document.body.append(frame, form);
    form.submit();
}"""


def test_a_page_of_another_origin_cannot_reach_the_server(browser: Any, address: str) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OtherOrigin) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(address)  # the cookie of the server is there from now on
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        view = address.partition("?")[0]
        for path in ("trace.ndjson", "stacks", "processes", "events?trace=0", "client/events", "do/drain", "main.js"):
            method = "POST" if path == "do/drain" else "GET"
            asking = "([url, method]) => fetch(url, { method, mode: 'no-cors', credentials: 'include' })"
            assert page.evaluate(f"{asking}.then(() => 'read', () => 'blocked')", [view + path, method]) == "blocked"
        for way in OTHER_WAYS:
            assert (way, page.evaluate(way, view)) == (way, "blocked")
        for address_of_form in (view + "do/drain", view + "do/cancel"):
            with page.expect_response(address_of_form) as posted:
                page.evaluate(POST_BY_FORM, address_of_form)
            assert posted.value.status == 403
        page.goto(view)
        expect(page.get_by_role("status").first).to_have_text("live")
        page.close()
        other.shutdown()


def test_one_page_leads_to_the_processes_of_all_servers(browser: Any, runtime: Path) -> None:
    with shop_served("--view") as first, shop_served("--view") as second, printing("view", "--no-browser") as proxy:
        pids = sorted(Path(address).stem for address in (first, second))
        page = browser.new_page()
        page.goto(printed(proxy, AT)[1])
        chosen = page.get_by_label("Process")
        expect(chosen).to_have_value(f"{pids[0]}/")
        chosen.select_option(f"{pids[1]}/")
        expect(page.get_by_text(f"process {pids[1]}")).to_be_visible()
        assert page.url.endswith(f"/{pids[1]}/")
        page.close()


def test_a_person_cancels_a_request_and_drains_the_server(browser: Any) -> None:
    with shop_served("--http", "0", "--view", "0", "--view-control") as address:
        page = browser.new_page()
        page.goto(address)
        row = page.get_by_role("row", name=re.compile("bake"))
        row.get_by_role("button", name="Cancel").click()
        expect(row).to_have_count(0)
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Drain").click()
        expect(page.get_by_text(re.compile("Drained: "))).to_be_visible()
        expect(page.get_by_text(re.compile("no connection"))).to_be_visible()
        page.close()
