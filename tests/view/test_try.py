"""The part Try of the page, in a real browser: a person calls the tools of a server, and answers what it asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node import Unavailable, installed
from tests.view.browser import MARKS, SIZES, expect
from tests.view.conftest import AT, printed, printing, shop_served

DESK = Path(__file__).with_name("desk.py")
SERVER = """
import trimcp
server = trimcp.Server("small")

@server.tool
def greet(name: str) -> str:
    return f"{GREETING} {name}"
"""

pytestmark = MARKS


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with shop_served("--http", "0", "--view", "0", "--view-control", file=DESK) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The part Try, with all that the page complained of."""
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}#Try")
    expect(page.get_by_text("connected to desk 1.2, 2026-07-28")).to_be_visible()
    expect(page.get_by_role("button", name="letter")).to_be_visible()
    yield page
    assert complaints == []
    context.close()


def choose(page: Any, name: str) -> None:
    page.get_by_role("navigation").get_by_role("button", name=name, exact=True).click()


def call(page: Any, name: str) -> Any:
    """Call a tool that takes no arguments, and return its place among the calls."""
    choose(page, name)
    page.get_by_role("button", name="Call", exact=True).click()
    return page.get_by_role("region", name=re.compile(rf"^Call \d+, {name}$")).first


def test_a_form_is_filled_in_by_keyboard_alone(page: Any) -> None:
    page.get_by_role("searchbox", name="Find").focus()
    for key in ("Tab", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="send", exact=True)).to_be_visible()
    page.get_by_label("weight").focus()
    page.keyboard.press("Control+Enter")  # refused, since fields are missing
    expect(page.get_by_text("This is required")).to_have_count(3)
    expect(page.get_by_label("weight")).to_be_focused()
    for text in ("31", "Tab", "Low Road", "Tab", "7", "Tab", "Enter"):  # adds a list of labels
        page.keyboard.press(text) if text in ("Tab", "Enter") else page.keyboard.type(text)
    expect(page.get_by_role("group", name="labels")).to_be_focused()
    expect(page.get_by_text("It must be at most 30")).to_be_visible()
    for label in ("fragile", "blue"):
        page.get_by_role("button", name="Add an item to labels").focus()
        page.keyboard.press("Enter")
        expect(page.locator("input:focus")).to_have_value("")
        page.keyboard.type(label)
    page.get_by_role("button", name="Remove labels 1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="labels")).to_be_focused()
    page.get_by_label("speed").focus()
    page.keyboard.press("f")  # of "fast": a list forgets its first letters when the next one comes late
    page.get_by_label("Kind").focus()
    page.keyboard.press("s")  # of "string"
    page.get_by_role("textbox", name="note").focus()
    page.keyboard.type("ring twice")
    page.get_by_label("weight").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("2.5")
    page.get_by_label("password").focus()
    page.keyboard.type("hunter2")
    page.keyboard.press("Control+Enter")
    done = page.get_by_role("region", name=re.compile("^Call .*send$"))
    done.get_by_text("Arguments").click()
    parcel = {
        "weight": 2.5,
        "to": {"street": "Low Road", "number": 7},
        "speed": "fast",
        "insured": False,
        "note": "ring twice",
        "labels": ["blue"],
    }
    sent = json.loads(done.locator("pre").first.inner_text())
    assert sent == {"parcel": parcel, "password": "hunter2"}
    expect(done.get_by_text('"Low Road"').first).to_be_visible()
    # The raw JSON is the same value, both ways.
    page.get_by_label("Raw JSON").check()
    raw = page.get_by_label("Arguments, as JSON")
    assert json.loads(raw.input_value()) == sent
    raw.fill("{")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_text("This is no JSON yet")).to_be_visible()
    raw.fill(json.dumps({"parcel": {**parcel, "weight": 3}, "password": "hunter2"}))
    page.get_by_label("Raw JSON").uncheck()
    expect(page.get_by_label("weight")).to_have_value("3")
    page.get_by_text("As a command").click()
    expect(page.locator(".command")).to_have_text(
        re.compile(r"^trimcp call TARGET send 'parcel:=\{.*\}' password=\"\$PASSWORD\"$")
    )
    # Saved calls come back after a reload, without the password.
    page.get_by_text("Saved calls").click()
    page.get_by_label("Title").fill("mine")
    page.get_by_role("button", name="Save these values").click()
    expect(page.get_by_text("Saved, without its secrets.")).to_be_visible()
    page.reload()
    choose(page, "send")
    page.get_by_text("Saved calls").click()
    page.get_by_role("button", name="mine", exact=True).click()
    expect(page.get_by_label("weight")).to_have_value("3")
    expect(page.get_by_label("password")).to_have_value("")


def test_a_person_answers_questions_follows_progress_and_cancels(page: Any) -> None:
    greeted = call(page, "greet")
    question = page.get_by_role("region", name="Question 1")
    question.get_by_role("button", name="Accept").click()
    expect(question.get_by_label("name")).to_be_focused()
    question.get_by_label("name").fill("Ada")
    question.get_by_label("age").fill("36")
    question.get_by_role("button", name="Accept").click()
    expect(greeted).to_contain_text("Good day, Ada")
    thought = call(page, "think")
    expect(page.get_by_text("What is the answer?")).to_be_visible()
    expect(page.get_by_role("tab", name="Try (1 open)")).to_be_visible()
    page.get_by_role("button", name="Refuse").click()
    expect(thought).to_contain_text(re.compile("rejected", re.IGNORECASE))
    worked = call(page, "work")
    expect(worked).to_contain_text("3 of 9, kneading")
    page.get_by_role("tab", name="Clients").click()
    expect(page.get_by_role("row", name=re.compile("work"))).to_contain_text("trimcp-view")
    page.get_by_role("tab", name="Try").click()
    worked.get_by_role("button", name="Cancel").click()
    expect(worked).to_contain_text("Cancelled")
    drawn = call(page, "draw")
    expect(drawn.get_by_role("img")).to_be_visible()
    assert drawn.get_by_role("img").evaluate("image => image.naturalWidth") == 1
    choose(page, "letter")
    page.get_by_label("recipient").fill("Ada")
    page.get_by_label("tone").fill("c")
    expect(page.locator("#argument-tone-list option")).to_have_attribute("value", "cold")
    page.get_by_label("tone").fill("cold")
    page.get_by_role("button", name="Get", exact=True).click()
    expect(page.get_by_text("Write a cold letter to Ada", exact=True)).to_be_visible()
    choose(page, "drawer desk://drawer/{number}")
    page.get_by_label("number").fill("12")
    page.get_by_role("button", name="Read", exact=True).click()
    expect(page.get_by_text("drawer 12", exact=True)).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("tablet", "light"), ("desk", "dark")])
def test_the_part_is_accessible_and_fits(page: Any, size: str, scheme: str) -> None:
    try:
        axe = (installed("axe-core", "4.10.2") / "axe.min.js").read_text()
    except Unavailable as why:
        pytest.skip(str(why))
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.evaluate(axe)
    call(page, "greet")
    expect(page.get_by_role("region", name=re.compile("^Question"))).to_be_visible()
    call(page, "work")
    expect(page.get_by_role("progressbar")).to_be_visible()
    call(page, "draw")
    choose(page, "send")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_text("This is required").first).to_be_visible()
    for summary in page.locator("#part-try summary").all():
        if summary.is_visible() and not summary.evaluate("each => each.parentElement.open"):
            summary.click()
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_a_view_that_only_shows_has_no_client(browser: Any) -> None:
    with shop_served("--http", "0", "--view", "0", file=DESK) as address:
        page = browser.new_page()
        page.goto(f"{address}#Try")
        expect(page.get_by_role("tab", name="Actors")).to_be_visible()
        expect(page.get_by_role("tab", name="Try")).to_have_count(0)
        asking = """async ([path, method]) => (await fetch(path, method === "POST"
            ? { method, headers: { "content-type": "application/json" }, body: "{}" } : {})).status"""
        assert page.evaluate(asking, ["client/events", "GET"]) == 403
        assert page.evaluate(asking, ["client/x/ask", "POST"]) == 403
        page.close()


def test_dev_serves_a_file_again_and_keeps_what_worked(browser: Any, tmp_path: Path, runtime: Path) -> None:
    file = tmp_path / "small.py"
    file.write_text(f"GREETING = 'Hello'\n{SERVER}")
    with printing("dev", str(file), "--port", "0", "--view-port", "0", "--no-browser") as process:
        page = browser.new_page()
        page.goto(printed(process, AT)[1])
        choose(page, "greet")
        page.get_by_label("name").fill("Ada")
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_text("Hello Ada").first).to_be_visible()
        page.get_by_text("As a command").click()
        expect(page.locator(".command")).to_have_text(f"trimcp call {file} greet name=Ada")
        file.write_text(f"GREETING = 'Good day'\n{SERVER}")
        expect(page.get_by_text("small.py changed. The server runs.")).to_be_visible()
        expect(page.get_by_text("connected to small")).to_be_visible()
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_text("Good day Ada").first).to_be_visible()
        file.write_text(f"{SERVER}\nraise ValueError('a fault of the program')\n")
        expect(page.get_by_text("The new server does not start: the one before goes on.")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("ValueError: a fault of the program")
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("region", name=re.compile("^Call .*greet$"))).to_have_count(3)
        expect(page.get_by_role("region", name=re.compile("^Call .*greet$")).first).to_contain_text("Good day Ada")
        page.get_by_role("tab", name="Clients").click()
        expect(page.get_by_role("tab", name="Clients")).to_have_attribute("aria-selected", "true")
        page.close()
