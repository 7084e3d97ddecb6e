"""`check_server` finds each of these faults, planted one by one into a server that is otherwise right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import trimcp
from trimcp.server.features.uri_template import UriTemplate
from trimcp.testing import check_server
from trimcp.testing.server_checks.faults import FaultsFound, ServerFault
from trimcp.testing.server_checks.subjects import expanded
from trimcp.types.resources import Resource
from trimcp.types.tools import ToolAnnotations

City = Literal["paris", "rome"]
FEW = 12
"""Examples of each tool, template and prompt."""


def right() -> trimcp.Server:
    """A server without a fault. Its resources, prompts and tools wait a little."""
    server = trimcp.Server("right", limits=trimcp.Limits(page=2))

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def count(most: int, ctx: trimcp.Context) -> int:
        """Count."""
        for number in range(2):
            await ctx.progress(number)
        return most

    @server.resource("data://now")
    async def now() -> str:
        await trio.sleep(0.02)
        return "12"

    @server.resource("data://weather/{city}")
    async def weather(city: City) -> str:
        return city

    @server.resource("data://notes/{title}{?page}")
    async def note(title: str, page: int = 1) -> str:
        if title != "first":
            raise trimcp.ResourceNotFound(f"data://notes/{title}")
        return title

    @server.prompt
    async def greet(name: str, city: City = "rome") -> str:
        await trio.sleep(0.02)
        return f"Hello {name}"

    for name in ("a", "b", "c"):
        server.resource(f"data://more/{name}", name=name)(now)
    return server


def faults_of(server: trimcp.Server, **options: Any) -> list[ServerFault]:
    with pytest.raises(FaultsFound) as caught:
        check_server(server, examples=FEW, **options)
    return caught.value.faults


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_a_server_without_a_fault_passes_and_all_of_it_was_used(revision: str) -> None:
    reports = {report.name: report for report in check_server(right(), revision=revision, examples=FEW)}
    assert list(reports) == [
        "count", "data://now", "data://more/a", "data://more/b", "data://more/c", "data://weather/{city}",
        "data://notes/{title}{?page}", "greet",
    ]  # fmt: skip
    assert all(report.calls for report in reports.values())
    assert {each["city"] for each in reports["data://weather/{city}"].examples} == {"paris", "rome"}
    assert reports["data://notes/{title}{?page}"].refusals, "made-up titles are not found"
    assert not reports["greet"].refusals
    assert reports["data://now"].cancelled
    assert reports["greet"].drained


def test_what_is_left_out_is_not_called() -> None:
    names = [report.name for report in check_server(right(), skip=["data://now", "greet"], examples=FEW)]
    assert "data://now" not in names
    assert "greet" not in names
    with pytest.raises(trimcp.UsageError, match="nor prompt"):
        check_server(right(), skip=["gone"])


# --- faults of functions ----------------------------------------------------------------


def resource_that_raises(server: trimcp.Server) -> None:
    @server.resource("data://bad")
    async def bad() -> str:
        raise KeyError("gone")


def resource_that_hangs(server: trimcp.Server) -> None:
    @server.resource("data://bad")
    async def bad() -> str:
        await trio.sleep_forever()
        raise AssertionError


def resource_of_a_wrong_type(server: trimcp.Server) -> None:
    @server.resource("data://bad")
    async def bad() -> Any:
        return object()


def resource_that_swallows_its_cancel(server: trimcp.Server) -> None:
    @server.resource("data://bad")
    async def bad() -> str:
        with suppress(BaseException):
            await trio.sleep(0.05)
        return "done"


def resource_that_shields_itself(server: trimcp.Server) -> None:
    @server.resource("data://bad")
    async def bad() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.3)
        return "done"


def template_that_raises_on_some_texts(server: trimcp.Server) -> None:
    @server.resource("data://bad/{number}")
    async def bad(number: str) -> str:
        return str(int(number))


def completion_that_offers_what_cannot_be_read(server: trimcp.Server) -> None:
    @server.resource("data://bad/{title}")
    async def bad(title: str) -> str:
        if title == "lost":
            raise trimcp.ResourceNotFound(f"data://bad/{title}")
        return title

    @server.completion("data://bad/{title}", "title")
    async def titles(value: str) -> list[str]:
        return ["found", "lost"]


def completion_that_raises(server: trimcp.Server) -> None:
    @server.prompt
    async def bad(name: str) -> str:
        return name

    @server.completion("bad", "name")
    async def names(value: str) -> list[str]:
        raise OSError("no such table")


def prompt_that_raises(server: trimcp.Server) -> None:
    @server.prompt
    async def bad(city: City) -> str:
        return {"paris": "Bonjour"}[city]


def prompt_of_a_wrong_type(server: trimcp.Server) -> None:
    @server.prompt
    async def bad() -> Any:
        return 3.5j


def prompt_that_refuses_all(server: trimcp.Server) -> None:
    @server.prompt
    async def bad(date: str) -> str:
        raise trimcp.InvalidParams("the date is not one")


def progress_that_goes_back(server: trimcp.Server) -> None:
    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def bad(ctx: trimcp.Context) -> int:
        for done in (1, 3, 2):
            await ctx.progress(done)
        return 1


def subscriptions_that_raise(server: trimcp.Server) -> None:
    @server.resource("data://bad")
    async def good() -> str:
        return "good"

    @server.may_subscribe
    def bad(uri: str, ctx: trimcp.Context) -> bool:
        raise LookupError("no such user")


@pytest.mark.parametrize(
    ("plant", "kind", "check", "words"),
    [
        (resource_that_raises, "resource", "call", "raised KeyError, with {}: 'gone'"),
        (resource_that_hangs, "resource", "call", "no result after 0.5 seconds"),
        (resource_of_a_wrong_type, "resource", "call", "object"),
        (resource_that_swallows_its_cancel, "resource", "cancel", "returned a result after its cancel"),
        (resource_that_shields_itself, "resource", "cancel", "still runs 0.1 seconds after its cancel"),
        (resource_that_shields_itself, "resource", "drain", "still runs 0.1 seconds after its cancel"),
        (template_that_raises_on_some_texts, "template", "call", "raised ValueError"),
        (completion_that_offers_what_cannot_be_read, "template", "call", 'were refused, {"title":"lost"'),
        (completion_that_raises, "prompt", "call", "the completion of name fails"),
        (prompt_that_raises, "prompt", "call", 'raised KeyError, with {"city":"rome"}'),
        (prompt_of_a_wrong_type, "prompt", "call", "complex"),
        (prompt_that_refuses_all, "prompt", "call", "all 12 calls were refused: give a strategy"),
        (progress_that_goes_back, "tool", "call", "a report of progress was dropped"),
        (subscriptions_that_raise, "resource", "subscription", "LookupError('no such user')"),
    ],
)  # fmt: skip
def test_a_fault_of_a_function_is_found(
    plant: Callable[[trimcp.Server], None], kind: str, check: str, words: str
) -> None:
    is_slow = plant in (resource_that_hangs, resource_that_shields_itself)
    server = trimcp.Server("wrong", limits=trimcp.Limits(cleanup=0.1 if is_slow else 5.0))
    plant(server)
    faults = [fault for fault in faults_of(server, timeout=0.5 if is_slow else 5.0) if fault.check == check]
    assert faults
    for fault in faults:
        assert (fault.kind, words in fault.problem) == (kind, True), str(fault)
        assert "bad" in fault.name


# --- faults of lists --------------------------------------------------------------------


class Shelf(trimcp.Provider):
    """Lists books, page by page."""

    features = frozenset({"resources"})

    def __init__(self, pages: Mapping[str | None, trimcp.ProvidedPage[Resource]], *, finds: bool = True) -> None:
        self.pages = pages
        self.finds = finds
        self.asked = 0

    async def list_resources(self, ctx: trimcp.Context, cursor: str | None) -> trimcp.ProvidedPage[Resource]:
        return self.pages[cursor]

    async def find_resource(self, ctx: trimcp.Context, uri: str) -> trimcp.ProvidedResource | None:
        if not (self.finds and uri.startswith("book:")):
            return None

        async def read(ctx: trimcp.Context, uri: str) -> str:
            return uri

        return trimcp.ProvidedResource(Resource(uri=uri, name=uri), read)


class Restless(Shelf):
    """Lists other books each time."""

    async def list_resources(self, ctx: trimcp.Context, cursor: str | None) -> trimcp.ProvidedPage[Resource]:
        self.asked += 1
        first = f"book:{cursor}{self.asked}"
        return books(first, f"{first}b", then="next" if cursor is None else None)


def books(*uris: str, then: str | None = None) -> trimcp.ProvidedPage[Resource]:
    return trimcp.ProvidedPage([Resource(uri=uri, name=uri) for uri in uris], then)


ENDLESS = {None: books("book:1", then="x"), "x": books("book:2", then="y"), "y": books("book:3", then="x")}


@pytest.mark.parametrize(
    ("shelf", "problems"),
    [
        (Shelf(ENDLESS), ["book:2 is there twice", "leads to a page before it"]),
        (Shelf({None: books("book:1", "book:1", "book:2")}), ["book:1 is left out, since Shelf has another"]),
        (Shelf({None: books("book:1", then="x")}), ["page 1 fails: The provider Shelf failed", "KeyError"]),
        (Shelf({None: books("book:1")}, finds=False), ["valid arguments were refused"]),
        (Restless({}), ["page 2 has other items"]),
    ],
    ids=["endless", "twice", "fails", "cannot find", "restless"],
)
def test_a_fault_of_a_list_is_found(shelf: Shelf, problems: Sequence[str]) -> None:
    server = trimcp.Server("shelf", limits=trimcp.Limits(page=2))
    server.add_provider(shelf)
    text = "\n".join(map(str, faults_of(server)))
    for problem in problems:
        assert problem in text, text


# --- templates --------------------------------------------------------------------------


@given(st.fixed_dictionaries({"a": st.text("ab/? é", min_size=1), "b": st.text("xy&=", min_size=1)}))
@pytest.mark.parametrize("template", ["x://{a}/{b}", "x://t{?a,b}", "x://t{/a}{;b}", "x://t{#a}", "x://{+b}/x{.a}"])
def test_an_expanded_template_has_its_values(template: str, values: dict[str, str]) -> None:
    matched = UriTemplate(template, path_safe=False).match(expanded(template, values))
    assert matched is not None
    assert {name: values[name] for name in matched} == matched


def test_expansion_follows_the_examples_of_the_rfc() -> None:
    values = {"var": "value", "list": ["red", "green"], "empty": ""}
    for template, uri in {
        "x:{var:3}": "x:val",
        "x:{list}": "x:red,green",
        "x:{/list*}": "x:/red/green",
        "x:{?list*}": "x:?list=red&list=green",
        "x:{;empty,var}": "x:;empty;var=value",
        "x:{?empty,undefined}": "x:?empty=",
        "x:{undefined}": "x:",
    }.items():
        assert expanded(template, values) == uri, template
