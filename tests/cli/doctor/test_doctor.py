"""`trimcp doctor`: it finds nothing where nothing is wrong, and the one fault that a server has."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.cli.conftest import SHOP, Run
from tests.cli.doctor.plain_server import PlainServer, in_memory, over_http
from tests.interop import rich_server
from tests.programs import PATIENCE, ROOT
from trimcp.auth.client.known_server import Binding, KnownServer
from trimcp.auth.client.tokens import Tokens
from trimcp.cli.doctor.command import ALL
from trimcp.cli.doctor.examination import LEGACY, MODERN, Examination, Verdict, examine
from trimcp.cli.doctor.http_wire import open_http_wire
from trimcp.cli.doctor.sse_2024 import REVISION, open_sse_wire
from trimcp.cli.doctor.wire import open_duplex_wire
from trimcp.cli.stored_sign_in import token_store
from trimcp.client.targets import opener_of
from trimcp.types.revisions import Revision

INTEROP = ROOT / "tests" / "interop"


async def verdicts_of(server: PlainServer, revision: Revision) -> list[Verdict]:
    """What the doctor says of a server over memory."""
    examination = Examination(lambda: open_duplex_wire(lambda: in_memory(server), 5), revision)
    verdicts: list[Verdict] = []
    await examine(examination, ALL, verdicts.append)
    return verdicts


def found(verdicts: list[Verdict], status: str) -> list[str]:
    return [verdict.check.rule for verdict in verdicts if verdict.status == status]


@pytest.mark.parametrize("revision", [LEGACY, MODERN], ids=lambda revision: revision.version)
async def test_a_server_that_obeys_has_no_failures(revision: Revision, autojump_clock: trio.testing.MockClock) -> None:
    verdicts = await verdicts_of(PlainServer(), revision)
    assert found(verdicts, "failed") == []
    # The plain server does not name itself in its results.
    assert found(verdicts, "warning") == (["a result names the server, in its metadata"] if revision is MODERN else [])
    assert len(found(verdicts, "passed")) >= 18


FAULTS = {
    "ids are strings": "",  # no handshake
    "another JSON-RPC": "all that the server sends is JSON-RPC 2.0",
    "codes are strings": "an unknown method is refused with -32601",
    "answers notifications": "a notification is not answered",
    "all methods": "an unknown method is refused with -32601",
    "noise": "all that the server sends is JSON-RPC 2.0",
    "gives up": "text that is not JSON does not end the session",
    "stays": "the server leaves at the end of input",
    "undeclared": "prompts/list works exactly if prompts are declared",
    "wrong schema": "the schemas of tools are valid, and describe objects",
    "no object": "the schemas of tools are valid, and describe objects",
    "twice": "the pages of each list come to an end, and have each item once",
    "no end": "the pages of each list come to an end, and have each item once",
    "null tools": "tools/list works exactly if tools are declared",
}
GET_AND_RESULT = "tasks/get and tasks/result of an unknown task are refused with -32602"
LEGACY_FAULTS = {
    "any version": "a version that the server does not speak is answered with one that it does",
    "two minds": "each version that the server speaks is answered with the same",
    "no version": "initialize is answered with a version, capabilities and serverInfo",
    "ping is full": "ping is answered by an empty result",
    "no tasks": GET_AND_RESULT,
    "another code of tasks": GET_AND_RESULT,
    "no list of tasks": "tasks/list works exactly if tasks.list is declared",
    "undeclared tasks": "tasks/list works exactly if tasks.list is declared",
}
MODERN_FAULTS = {
    "no supported": "an unknown version is refused with -32022 and the supported ones",
    "metadata is not needed": "a request without a version in its metadata is refused with -32602",
    "no type": "each result has a resultType",
    "no hints": "lists and discovery have ttlMs from 0 on, and a cacheScope",
    "reserved code": "no error has a code that this revision reserves",
    "asks": "the server sends no requests",
    "ping is there": "ping, which this era lacks, is refused with -32601",
    "another id": "a listen is acknowledged first, under its id",
    "header": "x-mcp-header is only where it may be",
    "no tasks": "tasks/get of an unknown task is refused with -32602",
    "another code of tasks": "tasks/cancel of an unknown task is refused with -32602",
    "tasks for all": "a client that does not declare the extension is refused with -32021",
}


@pytest.mark.parametrize(
    ("revision", "fault", "rule"),
    [
        *((revision, fault, rule) for fault, rule in FAULTS.items() for revision in (LEGACY, MODERN)),
        *((LEGACY, fault, rule) for fault, rule in LEGACY_FAULTS.items()),
        *((MODERN, fault, rule) for fault, rule in MODERN_FAULTS.items()),
    ],
    ids=lambda value: value.version if isinstance(value, Revision) else value,
)
async def test_a_fault_is_found(
    revision: Revision, fault: str, rule: str, autojump_clock: trio.testing.MockClock
) -> None:
    if not rule:
        with pytest.raises(Exception, match="there was one with the id '1', not 1"):
            await verdicts_of(PlainServer(fault), revision)
        return
    verdicts = await verdicts_of(PlainServer(fault), revision)
    wrong = found(verdicts, "failed") + found(verdicts, "warning")
    assert rule in wrong
    assert len(wrong) <= (20 if "codes" in fault else 8), wrong
    # Each rule was checked, also behind one after which the server was gone.
    expected = [check for check in ALL if revision.era in check.eras and check.over in (None, "duplex")]
    assert [verdict.check for verdict in verdicts] == expected


# --- over HTTP --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["", "events"])
def test_a_server_over_http_that_obeys_has_no_failures(run: Run, fault: str) -> None:
    with over_http(PlainServer(fault)) as url:
        done = run("doctor", url, "--json")
    report = done.json
    bad = [check for era in report["eras"] for check in era["checks"] if check["status"] in ("failed", "warning")]
    assert {check["rule"] for check in bad} <= {
        "a result names the server, in its metadata",
        "event streams have X-Accel-Buffering: no",
        "a listen is acknowledged first, under its id",
    }, bad
    assert done.code == 0
    assert report["counts"]["passed"] > 55


HTTP_FAULTS = {
    "any origin": "a request with a foreign Origin is refused with 403",
    "text": "",
    "200": "a notification is not answered",
    "headers are not read": "a missing or another Mcp-Method: -32020",
    "base64": "an Mcp-Name in base64 is decoded before it is compared",
    "no 404": "an unknown method is refused with -32601",
    "immortal": "a request of a session that has ended is refused with 404",
    "space in id": "a session id has only visible ASCII characters",
    "any header": "an unknown MCP-Protocol-Version is refused with 400",
    "no session needed": "a request without the session id is refused with 400",
    "header needed": "a request without MCP-Protocol-Version is answered",
    "another type": "all that the server sends is JSON-RPC 2.0",
    "get": "GET opens an event stream, or is refused with 405",
}


@pytest.mark.parametrize("fault", HTTP_FAULTS)
def test_a_fault_of_http_is_found(run: Run, fault: str) -> None:
    with over_http(PlainServer(fault)) as url:
        done = run("doctor", url, "--json")
    if fault == "text":
        assert done.code == 3
        return
    bad = [check for era in done.json["eras"] for check in era["checks"] if check["status"] in ("failed", "warning")]
    assert HTTP_FAULTS[fault] in {check["rule"] for check in bad}
    assert done.code == (1 if any(check["status"] == "failed" for check in bad) else 0)


async def test_a_stream_that_stays_open_is_found() -> None:
    rule = "an event stream ends with its response"
    with over_http(PlainServer("open streams")) as url:
        examination = Examination(lambda: open_http_wire(url, {}, 5), MODERN)
        verdicts: list[Verdict] = []
        await examine(examination, [check for check in ALL if check.rule == rule], verdicts.append)
    assert [verdict.status for verdict in verdicts] == ["warning"]


# --- authorization ----------------------------------------------------------------------

TOKEN = ("--header", "Authorization: Bearer good")
POOR = ("--header", "Authorization: Bearer poor")
STORED = "the stored sign-in is of this server, and accepted"
SCOPES = "what needs another scope is refused with 403, which names it"


@pytest.mark.parametrize("given", [(), TOKEN], ids=["no token", "a token"])
def test_a_server_with_a_guard_that_obeys_has_no_failures(run: Run, given: tuple[str, ...]) -> None:
    with over_http(PlainServer("guard")) as url:
        done = run("doctor", url, "--json", *given)
    checks = [check for era in done.json["eras"] for check in era["checks"]]
    assert [check for check in checks if check["status"] == "failed"] == []
    of_authorization = [check for check in checks if check["section"].startswith("basic/authorization")]
    rest = [check["rule"] for check in of_authorization if check["status"] != "passed"]
    assert rest == [STORED, SCOPES] * 2
    assert len(of_authorization) == 19
    if given:
        assert done.code == 0
        return
    assert checks == of_authorization
    assert [era["spoken"] for era in done.json["eras"]] == [False, False]
    assert (done.code, "give it by --header" in done.err) == (3, True)


GUARD_FAULTS = {
    "guard: any token": "an invalid token is refused with 401",
    "guard: 403": "an invalid token is refused with 401",
    "guard: no scope": "the challenge names the scopes",
    "guard: offline": "no offline_access in the scopes",
    "guard: broken link": "resource_metadata of the challenge leads to metadata",
    "guard: no metadata": "the metadata of the protected resource are found",
    "guard: another resource": "the metadata of the protected resource are found",
    "guard: no issuer": "each authorization server has metadata",
    "guard: no S256": "each authorization server supports PKCE with S256",
}


@pytest.mark.parametrize("fault", GUARD_FAULTS)
def test_a_fault_of_authorization_is_found(run: Run, fault: str) -> None:
    with over_http(PlainServer(fault)) as url:
        done = run("doctor", url, "--json", "--revision", MODERN.version)
    bad = [check for check in done.json["eras"][0]["checks"] if check["status"] in ("failed", "warning")]
    assert GUARD_FAULTS[fault] in {check["rule"] for check in bad}
    assert done.code == (1 if any(check["status"] == "failed" for check in bad) else 3)


def statuses(run: Run, rule: str, *arguments: str) -> list[str]:
    """What the doctor says of one rule, in each era, and behind it the exit code."""
    done = run("doctor", *arguments, "--json")
    checks = [check for era in done.json["eras"] for check in era["checks"]]
    return [*(check["status"] for check in checks if check["rule"] == rule), str(done.code)]


@pytest.mark.parametrize("fault", ["", "no error", "no scope", "no link"])
def test_a_token_that_lacks_a_scope_is_refused_with_a_challenge_for_it(run: Run, fault: str) -> None:
    with over_http(PlainServer(f"guard: {fault}")) as url:
        found = statuses(run, SCOPES, url, *POOR)
    assert found == [*["warning" if fault else "passed"] * 2, "3"]


def test_what_the_token_has_no_scope_for_is_not_examined(run: Run) -> None:
    with over_http(PlainServer("guard: tools")) as url:
        done = run("doctor", url, "--json", *TOKEN)
    verdicts = {check["rule"]: check for era in done.json["eras"] for check in era["checks"]}
    assert (done.code, done.json["counts"].get("failed", 0)) == (0, 0)
    assert "no scope for tools/" in verdicts["the schemas of tools are valid, and describe objects"]["detail"]


async def keep(url: str, token: str, *, issuer: str | None = None, resource: str | None = None) -> None:
    """Store a sign-in as `trimcp login` does."""
    server = KnownServer(url, token_store(), dpop=False, unattended=False)
    at = url.removesuffix("/mcp")
    await server.keep(Binding(issuer or at, resource or url, "me"), Tokens(access_token=token), None)


@pytest.mark.parametrize(
    ("token", "more", "status"),
    [
        ("good", {}, "passed"),
        ("poor", {}, "passed"),
        ("good", {"issuer": "https://other.example"}, "warning"),
        ("good", {"resource": "https://other.example/mcp"}, "warning"),
        ("old", {}, "warning"),
    ],
)
def test_a_stored_sign_in_is_used_and_examined(run: Run, token: str, more: dict[str, str], status: str) -> None:
    with over_http(PlainServer("guard")) as url:
        trio.run(partial(keep, url, token, **more))
        found = statuses(run, STORED, url)
    assert found == [status, status, "0" if token == "good" else "3"]


# --- HTTP+SSE of 2024-11-05 -------------------------------------------------------------

SSE_FAULTS = {
    "sse": "",
    "sse: any origin": "a stream for a foreign Origin is refused",
    "sse: 500": "",  # no message arrives
}


@pytest.mark.parametrize("fault", SSE_FAULTS)
def test_http_sse_is_examined_where_the_server_speaks_nothing_newer(run: Run, fault: str) -> None:
    with over_http(PlainServer(fault)) as url:
        done = run("doctor", url, "--json")
    if fault == "sse: 500":
        assert done.code == 3
        return
    *newer, era = done.json["eras"]
    assert [each["spoken"] for each in newer] == [False, False]
    assert (era["transport"], era["spoken"]) == ("HTTP+SSE", True)
    bad = {check["rule"] for check in era["checks"] if check["status"] in ("failed", "warning")}
    assert bad == ({SSE_FAULTS[fault]} if SSE_FAULTS[fault] else set())
    assert len([check for check in era["checks"] if check["status"] == "passed"]) > 25


async def test_trimcp_passes_over_http_sse() -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(partial(rich_server.server.serve_http, 0, sse=True))
            verdicts: list[Verdict] = []
            examination = Examination(lambda: open_sse_wire(f"http://{host}:{port}/sse", {}, PATIENCE), REVISION)
            await examine(examination, ALL, verdicts.append)
            assert found(verdicts, "failed") + found(verdicts, "warning") == []
            assert [verdict for verdict in verdicts if verdict.check.over == "sse"]
            nursery.cancel_scope.cancel()


# --- real servers -----------------------------------------------------------------------


def test_trimcp_itself_passes_over_stdio_and_http(run: Run, shop: str) -> None:
    for target in (str(SHOP), shop):
        done = run("doctor", target, "--json", *(() if target == shop else ("--env", f"PYTHONPATH={ROOT}")))
        assert done.code == 0
        counts = done.json["counts"]
        assert (counts.get("failed", 0), counts.get("warning", 0)) == (0, 0), done.out
        assert [era["spoken"] for era in done.json["eras"]] == [True, True]


@pytest.mark.parametrize("serve", ["serve_tcp", "serve_websocket"])
async def test_trimcp_passes_over_sockets(serve: str) -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(getattr(rich_server.server, serve), 0)
            target = f"tcp://{host}:{port}" if serve == "serve_tcp" else f"ws://{host}:{port}/mcp"
            opener = opener_of(target, env=None, inherit_env=False, cwd=None, on_stderr=None, limit=2**25)
            for revision in (LEGACY, MODERN):
                verdicts: list[Verdict] = []
                examination = Examination(lambda: open_duplex_wire(opener, PATIENCE), revision)
                await examine(examination, ALL, verdicts.append)
                assert found(verdicts, "failed") + found(verdicts, "warning") == []
            nursery.cancel_scope.cancel()


@pytest.mark.interop
@pytest.mark.parametrize(
    ("script", "revision"), [("official_server.py", LEGACY.version), ("fastmcp_server.py", MODERN.version)]
)
def test_servers_of_others_are_examined(run: Run, script: str, revision: str) -> None:
    done = run("doctor", str(INTEROP / script), "--json", "--revision", revision)
    report = done.json
    assert [era["spoken"] for era in report["eras"]] == [True]
    assert report["counts"]["passed"] > 20
    bad = {check["rule"] for era in report["eras"] for check in era["checks"] if check["status"] == "failed"}
    assert bad == set()
    warned = {check["rule"] for era in report["eras"] for check in era["checks"] if check["status"] == "warning"}
    assert "a call of an unknown tool is refused with -32602" in warned  # they answer with isError


def test_the_report_for_people(run: Run) -> None:
    with over_http(PlainServer("any origin")) as url:
        done = run("doctor", url)
    assert done.code == 1
    assert "2026-07-28 (modern era)" in done.out
    assert "  basic/transports/streamable-http\n" in done.out
    assert "    FAILED   MUST    a request with a foreign Origin is refused with 403\n" in done.out
    assert "https://attacker.example was answered by HTTP 200" in done.out
    assert "2 failed" in done.out


def test_the_report_begins_with_the_name_also_if_an_era_is_not_spoken(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_text("import trimcp\nserver = trimcp.Server('old', version='', revisions=['2025-11-25'])\n")
    done = run("doctor", str(path), "--inherit-env")
    assert done.out.startswith("old\n\n2026-07-28 (modern era)\n  not spoken: ")
    assert done.out.endswith(" passed, 0 failed, 0 warnings, 19 not applicable\n")


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["doctor"], 2, "TARGET"),
        (["doctor", str(SHOP), "more"], 2, "doctor takes only a TARGET"),
        (["doctor", "http://127.0.0.1:9/mcp"], 3, "cannot connect"),
        (["doctor", "http://127.0.0.1:9/mcp", "--transport", "sse", "--revision", "2026-07-28"], 2, "no HTTP+SSE"),
        (["doctor", "--", sys.executable, "-c", "print('no')"], 3, "exited with status 0"),
    ],
)
def test_what_cannot_be_examined(run: Run, arguments: list[str], code: int, problem: str) -> None:
    done = run(*arguments)
    assert done.code == code
    assert problem in done.err


def test_each_section_is_a_page_of_the_specification(tmp_path: Path) -> None:
    pages = ROOT.parent / "shared" / "spec" / "revisions"
    if not pages.exists():
        pytest.skip("the specification does not lie beside the checkout")
    for check in ALL:
        for revision in (REVISION,) if check.over == "sse" else (LEGACY, MODERN):
            if revision.era in check.eras and check.section != "basic":
                of_extension = check.section.startswith("extensions/")
                parent = pages.parent if of_extension else pages / revision.version
                page: Any = parent / f"{check.section}.mdx"
                assert page.exists() or (page.with_suffix("") / "index.mdx").exists(), check
