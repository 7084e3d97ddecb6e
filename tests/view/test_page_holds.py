"""The page while a server is busy, or comes back as another: what a person looks at stays where it is."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.view.browser import MARKS, SIZES, expect
from tests.view.conftest import shop_served

DESK = Path(__file__).with_name("desk.py")

pytestmark = MARKS


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    page = browser.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    yield page
    page.close()


@pytest.mark.parametrize("part", ["Messages", "Logs"])
def test_a_list_stands_still_while_a_person_is_in_it(page: Any, part: str) -> None:
    page.get_by_role("tab", name=part).click()
    pause = page.get_by_role("button", name="Pause")
    expect(pause).to_have_attribute("aria-pressed", "false")
    rows = page.get_by_role("region", name=f"{part}, table").locator("tbody tr")
    expect(rows.locator("button").nth(1)).to_be_visible()
    rows.locator("button").first.focus()
    expect(pause).to_have_attribute("aria-pressed", "true")
    rows.locator("button").first.focus()  # another row may have come before the list stood still
    shown = rows.first.inner_text()
    page.keyboard.press("Tab")
    expect(rows.locator("button").nth(1)).to_be_focused()
    assert rows.first.inner_text() == shown
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "false")
    expect(rows.first).not_to_have_text(shown)


def test_the_figures_are_in_one_row_on_a_desk(page: Any) -> None:
    width, height = SIZES["desk"]
    page.set_viewport_size({"width": width, "height": height})
    tops = page.locator(".figures > div").evaluate_all("each => each.map((one) => one.getBoundingClientRect().top)")
    assert len(tops) == 9
    assert len(set(tops)) == 1


def test_a_request_tells_what_it_waits_for(browser: Any) -> None:
    with shop_served("--http", "0", "--view", "0", "--view-control", file=DESK) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("tab", name="Try").click()
        page.get_by_label("Revision").select_option("2025-11-25")
        page.get_by_role("button", name="greet").click()
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("heading", name="The server asks for something")).to_be_visible()
        page.get_by_role("tab", name="Clients").click()
        row = page.get_by_role("row", name=re.compile("greet"))
        expect(row).to_contain_text(re.compile("running waits for the client's answer to elicitation/create"))
        page.close()


def test_the_form_of_a_tool_comes_into_sight_on_a_phone(browser: Any) -> None:
    width, height = SIZES["phone"]
    with shop_served("--http", "0", "--view", "0", "--view-control", file=DESK) as address:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        page.get_by_role("tab", name="Try").click()
        page.get_by_role("button", name="send").click()
        expect(page.get_by_label("weight")).to_be_in_viewport()
        page.close()


def test_the_focus_stays_at_the_table_whose_row_goes_away(browser: Any) -> None:
    with shop_served("--http", "0", "--view", "0", "--view-control") as address:
        page = browser.new_page()
        page.goto(address)
        row = page.get_by_role("row", name=re.compile("bake"))
        row.get_by_role("button", name="Cancel").focus()
        page.keyboard.press("Enter")
        expect(row).to_have_count(0)
        expect(page.get_by_role("region", name="Requests in flight, table")).to_be_focused()
        page.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_server_that_comes_back_has_another_token_and_the_page_says_so(browser: Any) -> None:
    port = str(free_port())
    page = browser.new_page()
    status = page.get_by_role("status").first
    with shop_served("--http", "0", "--view", port) as address:
        page.goto(address)
        expect(status).to_have_text("live")
    expect(status).to_have_text(re.compile("no connection"))
    with shop_served("--http", "0", "--view", port) as address:
        expect(status).to_have_text(re.compile("^refused: .*open the URL that it printed"))
        page.goto(address)
        expect(status).to_have_text("live")
    page.close()
