"""Extensions that cannot be, or cannot be together, are told so before anything runs."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import pytest

import trimcp
from tests.extensions.skills_like import READ
from tests.programs import run_python
from tests.session.peer import ALL, META, MODERN, served
from trimcp.types import CallToolResult, RequestParams, Result

PING = trimcp.ExtensionMethod("com.example/ping", dict, dict)
HELLO = trimcp.ExtensionNotification("com.example/hello", dict)
BYE = trimcp.ExtensionNotification("com.example/bye", dict, sender="client")


@attrs.define
class Later(Result):
    result_type: ClassVar[str | None] = "later"


LATER = trimcp.ExtensionResult(Later, ["tools/call"])


async def answer(ctx: trimcp.Context, params: dict[str, Any]) -> dict[str, Any]:
    """Say what was asked."""
    return params


def extension(name: str, **options: Any) -> trimcp.ServerExtension:
    """One that answers `PING`."""
    made = trimcp.ServerExtension(name, **options)
    made.method(PING)(answer)
    return made


@pytest.mark.parametrize("kind", [trimcp.ServerExtension, trimcp.ClientExtension])
@pytest.mark.parametrize(
    "identifier",
    ["com.example/ui", "io.modelcontextprotocol/ui", "example/a", "com.ex-ample.x1/a.b_c-d", "A.b/Z9"],
)
def test_identifiers_follow_the_rules_for_keys_of_meta(kind: Any, identifier: str) -> None:
    assert kind(identifier).identifier == identifier


@pytest.mark.parametrize("kind", [trimcp.ServerExtension, trimcp.ClientExtension])
@pytest.mark.parametrize(
    "identifier",
    ["", "ui", "/ui", "com.example/", "com.example", "com..example/ui", ".com/ui", "1com/ui", "com-/ui", "com./ui",
     "com.example/-ui", "com.example/ui-", "com.example/u i", "com.example/ui/more", "com.example/ui\n", "cöm/ui"],
)  # fmt: skip
def test_anything_else_identifies_no_extension(kind: Any, identifier: str) -> None:
    with pytest.raises(trimcp.UsageError, match="Invalid extension identifier"):
        kind(identifier)


@pytest.mark.parametrize("kind", [trimcp.ServerExtension, trimcp.ClientExtension])
@pytest.mark.parametrize("revisions", [[], ["2024-01-01"], "2025-11-25"])
def test_revisions_are_those_that_there_are(kind: Any, revisions: Any) -> None:
    with pytest.raises(trimcp.UsageError, match="needs a list of revisions"):
        kind("com.example/a", revisions=revisions)


def test_a_server_uses_an_extension_once() -> None:
    server = trimcp.Server("s", extensions=[extension("com.example/a")])
    with pytest.raises(trimcp.UsageError, match=r"uses the extension com\.example/a already"):
        server.use(trimcp.ServerExtension("com.example/a"))


def test_a_client_is_given_an_extension_once() -> None:
    from trimcp.client.extension_negotiation import OfferedExtensions

    with pytest.raises(trimcp.UsageError, match="given twice"):
        OfferedExtensions([trimcp.ClientExtension("com.example/a"), trimcp.ClientExtension("com.example/a")])


def test_a_method_of_the_core_is_taken_where_the_core_has_it() -> None:
    get = trimcp.ExtensionMethod("tasks/get", dict, dict)  # of the core in 2025-11-25 alone
    tasks = trimcp.ServerExtension("com.example/tasks")
    tasks.method(get)(answer)
    with pytest.raises(trimcp.UsageError, match="a method of 2025-11-25 itself"):
        trimcp.Server("s", extensions=[tasks])
    tasks = trimcp.ServerExtension("com.example/tasks", revisions=[MODERN])
    tasks.method(get)(answer)
    trimcp.Server("s", extensions=[tasks])
    from trimcp.client.extension_negotiation import OfferedExtensions

    with pytest.raises(trimcp.UsageError, match="a method of 2025-11-25 itself"):
        OfferedExtensions([trimcp.ClientExtension("com.example/tasks", sends=[get])])
    OfferedExtensions([trimcp.ClientExtension("com.example/tasks", sends=[get], revisions=[MODERN])])


@pytest.mark.parametrize("name", ["notifications/tools/list_changed", "tools/call", "notifications/cancelled"])
def test_no_name_of_the_core_can_be_sent_or_heard(name: str) -> None:
    sends = trimcp.ServerExtension("com.example/a", sends=[trimcp.ExtensionNotification(name, dict)])
    hears = trimcp.ServerExtension("com.example/b")
    hears.hears(trimcp.ExtensionNotification(name, dict, sender="client"))(None)  # type: ignore[arg-type]
    for made in (sends, hears):
        with pytest.raises(trimcp.UsageError, match="itself"):
            trimcp.Server("s", extensions=[made])


def test_two_extensions_share_no_method_in_a_revision() -> None:
    server = trimcp.Server("s", extensions=[extension("com.example/a", revisions=[MODERN])])
    server.use(extension("com.example/b", revisions=["2025-11-25"]))
    with pytest.raises(trimcp.UsageError, match=r"c and com\.example/b both have com\.example/ping"):
        server.use(extension("com.example/c", revisions=["2025-11-25", "2025-06-18"]))


def test_two_extensions_share_no_result_and_no_topic() -> None:
    server = trimcp.Server("s", extensions=[trimcp.ServerExtension("com.example/a", results=[LATER])])
    with pytest.raises(trimcp.UsageError, match="both answer tools/call with resultType 'later'"):
        server.use(trimcp.ServerExtension("com.example/b", results=[LATER]))
    one, other = trimcp.ServerExtension("com.example/c"), trimcp.ServerExtension("com.example/d")
    for made in (one, other):
        made.topic("ids")(lambda ctx, keys: keys)
    server.use(one)
    with pytest.raises(trimcp.UsageError, match="both have the topic ids"):
        server.use(other)


def test_a_topic_of_the_core_is_taken() -> None:
    made = trimcp.ServerExtension("com.example/a")
    with pytest.raises(trimcp.UsageError, match="belongs to the core"):
        made.topic("resourceSubscriptions")


@pytest.mark.parametrize("cls", [CallToolResult, Result, dict, int])
def test_a_result_needs_a_tag_of_its_own(cls: Any) -> None:
    with pytest.raises(trimcp.UsageError):
        trimcp.ServerExtension("com.example/a", results=[trimcp.ExtensionResult(cls, ["tools/call"])])


@pytest.mark.parametrize("method", ["nothing", "ping", "subscriptions/listen", "notifications/cancelled"])
def test_results_and_layers_are_for_requests_that_take_work(method: str) -> None:
    with pytest.raises(trimcp.UsageError, match=method):
        trimcp.ServerExtension("com.example/a", results=[trimcp.ExtensionResult(Later, [method])])
    with pytest.raises(trimcp.UsageError, match=method):
        trimcp.ServerExtension("com.example/a").around(method)


@pytest.mark.parametrize("cls", [int, RequestParams(), "dict", type("Plain", (), {})])
def test_params_and_results_are_classes_that_the_codec_knows(cls: Any) -> None:
    made = trimcp.ServerExtension("com.example/a")
    with pytest.raises(trimcp.UsageError, match="must be an attrs class"):
        made.method(trimcp.ExtensionMethod("a/b", cls, dict))
    with pytest.raises(trimcp.UsageError, match="must be an attrs class"):
        made.method(trimcp.ExtensionMethod("a/b", dict, cls))
    with pytest.raises(trimcp.UsageError, match="must be an attrs class"):
        trimcp.ClientExtension("com.example/a", sends=[trimcp.ExtensionMethod("a/b", cls, dict)])


def test_what_one_side_sends_the_other_answers() -> None:
    server, client = trimcp.ServerExtension("com.example/a"), trimcp.ClientExtension("com.example/a")
    asked_of_clients = trimcp.ExtensionMethod("a/b", dict, dict, sender="server")
    for wrong in (
        lambda: server.method(asked_of_clients),
        lambda: server.hears(HELLO),
        lambda: trimcp.ServerExtension("com.example/b", sends=[BYE]),
        lambda: client.method(PING),
        lambda: client.hears(BYE),
        lambda: trimcp.ClientExtension("com.example/b", sends=[asked_of_clients]),
    ):
        with pytest.raises(trimcp.UsageError):
            wrong()


def test_what_takes_no_place_is_not_async() -> None:
    at_once = trimcp.ExtensionMethod("a/b", dict, dict, takes_place=False)
    with pytest.raises(trimcp.UsageError, match="must not be async"):
        trimcp.ServerExtension("com.example/a").method(at_once)(answer)


def test_once_it_is_used_nothing_more_is_declared() -> None:
    made = extension("com.example/a")
    with pytest.raises(trimcp.UsageError, match="already"):
        made.method(PING)
    trimcp.Server("s", extensions=[made])
    for more in (lambda: made.method(READ), lambda: made.around("tools/call"), lambda: made.topic("ids")):
        with pytest.raises(trimcp.UsageError, match="is in use"):
            more()
    trimcp.Server("another", extensions=[made])


async def test_a_server_that_runs_takes_no_more() -> None:
    server = trimcp.Server("s")
    async with server.running():
        with pytest.raises(trimcp.UsageError, match="before the server runs"):
            server.use(extension("com.example/a"))


async def test_what_no_extension_has_cannot_be_told() -> None:
    server = trimcp.Server("s", extensions=[extension("com.example/a")])
    with pytest.raises(trimcp.UsageError, match="No extension that this server uses has"):
        server.tell(HELLO, {})
    with pytest.raises(trimcp.UsageError, match="example/ping"):
        server.tell(PING, {})  # type: ignore[arg-type]


async def test_a_client_listens_to_what_extensions_tell_by_lists_of_strings() -> None:
    async with trimcp.connect(trimcp.Server("s")) as client:
        for more in ({"toolsListChanged": ["1"]}, {"ids": "1"}):
            with pytest.raises(trimcp.UsageError):
                client.listen(more=more)


def test_an_extension_that_refuses_what_is_declared_is_not_used() -> None:
    picky = trimcp.ServerExtension("com.example/picky")

    @picky.on_declare
    def refuse(definition: Any) -> None:
        raise trimcp.UsageError("not that")

    server = trimcp.Server("s")
    server.add_resource("a:1", "")
    with pytest.raises(trimcp.UsageError, match="not that"):
        server.use(picky)
    server.add_resource("a:2", "")


# --- what the other side declares ---------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
async def test_what_nobody_here_knows_is_kept_and_ignored(version: str) -> None:
    seen: list[Any] = []
    server = trimcp.Server("s", extensions=[trimcp.ServerExtension("org.unknown/b", settings={"deep": {"er": 1}})])

    @server.tool
    async def look(ctx: trimcp.Context) -> None:
        seen.append((dict(ctx.client_extensions), ctx.extension("org.unknown/a"), ctx.extension("org.unknown/c")))

    mine = trimcp.ClientExtension("org.unknown/a", settings={"most": 3})
    async with trimcp.connect(server, revision=version, extensions=[mine]) as client:
        await client.call_tool("look")
        assert client.extensions == {"org.unknown/b": {"deep": {"er": 1}}}
    assert seen == [({"org.unknown/a": {"most": 3}}, {"most": 3}, None)]


async def test_an_extension_that_a_revision_lacks_is_none_of_a_clients() -> None:
    seen: list[Any] = []
    server = trimcp.Server("s", extensions=[trimcp.ServerExtension("com.example/a", revisions=[MODERN])])

    @server.tool
    async def look(ctx: trimcp.Context) -> None:
        seen.append(ctx.extension("com.example/a"))
        ctx.require_extension("com.example/a")

    mine = trimcp.ClientExtension("com.example/a")  # which thinks that it is for all
    async with trimcp.connect(server, revision="2025-11-25", extensions=[mine]) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool("look")
        assert caught.value.code == -32600
    async with trimcp.connect(server, extensions=[mine]) as client:
        await client.call_tool("look")
    assert seen == [None, {}]


@pytest.mark.parametrize("said", [[], "x", {"com.example/a": True}, None])
async def test_in_a_legacy_session_garbage_in_place_of_extensions_declares_none(said: Any) -> None:
    seen: list[Any] = []
    server = trimcp.Server("s", extensions=[trimcp.ServerExtension("com.example/a")])

    @server.tool
    async def look(ctx: trimcp.Context) -> None:
        seen.append(dict(ctx.client_extensions))

    async with served(server, "2025-11-25", opened=False) as peer:
        opening = peer.initialize()
        opening["params"]["capabilities"] = {"extensions": said}
        assert "result" in await peer.ask(opening)
        await peer.ask(peer.call(1, "look"))
    assert seen == [{}]


async def test_in_the_modern_era_garbage_is_refused_as_the_schema_has_it() -> None:
    async with served(trimcp.Server("s"), MODERN) as peer:
        request = peer.request(1, "server/discover")
        capabilities = {"extensions": {"com.example/a": 1}}
        request["params"]["_meta"] = {**META, "io.modelcontextprotocol/clientCapabilities": capabilities}
        assert (await peer.ask(request))["error"]["code"] == -32602


def test_without_extensions_nothing_of_them_is_imported() -> None:
    program = """
import sys, trio, trimcp
server = trimcp.Server("s")
@server.tool
async def add(a: int, b: int) -> int:
    return a + b
async def main():
    async with trimcp.connect(server) as client:
        await client.call_tool("add", {"a": 1, "b": 2})
trio.run(main)
print(sorted(name for name in sys.modules if name.startswith("trimcp.") and "extension" in name))
"""
    done = run_python("-c", program)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
