"""`load_configuration`: the files that people have, what stands in them for variables, and what is said of mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import trimcp
from tests.client.group.conftest import logged
from tests.programs import ROOT
from tests.session.peer import Logged
from trimcp import Timeouts, auth, load_configuration
from trimcp.client.configuration import without_comments

__all__ = ["logged"]

ENVIRONMENT = {"TOKEN": "s3cret", "HOME": "/home/ann", "EMPTY": ""}


def loaded(server: dict[str, Any], **more: Any) -> trimcp.ConfiguredServer:
    """The one server of a configuration."""
    configuration = load_configuration({"mcpServers": {"one": server}}, environment=ENVIRONMENT, **more)
    return configuration.servers["one"]


def problem(contents: Any, **more: Any) -> str:
    """What is said to be wrong."""
    with pytest.raises(trimcp.UsageError) as refused:
        load_configuration(contents, environment=ENVIRONMENT, **more)
    return str(refused.value)


def test_a_command_is_read_with_all_that_belongs_to_it() -> None:
    server = loaded(
        {
            "type": "stdio",
            "command": "npx",
            "args": ["-y", "server-files", "${HOME}/notes"],
            "env": {"API_TOKEN": "${env:TOKEN}", "LEVEL": "${LEVEL:-info}", "MODE": "${EMPTY:-plain}"},
            "cwd": "${HOME}",
            "timeout": 20,
            "revision": "2025-11-25",
        }
    )
    assert (server.name, server.key) == ("one", "one")
    assert server.target == ["npx", "-y", "server-files", "/home/ann/notes"]
    assert server.options == {
        "env": {"API_TOKEN": "s3cret", "LEVEL": "info", "MODE": "plain"},
        "cwd": "/home/ann",
        "timeouts": Timeouts(request=20.0),
        "revision": "2025-11-25",
    }
    assert "s3cret" not in repr(server)


@pytest.mark.parametrize(
    ("entry", "transport"),
    [
        ({"url": "https://x/mcp"}, None),
        ({"url": "https://x/mcp", "type": "http"}, None),
        ({"url": "https://x/mcp", "type": "streamable-http"}, None),
        ({"url": "https://x/mcp", "type": "streamableHttp"}, None),
        ({"url": "https://x/sse", "transport": "sse"}, "sse"),
        ({"url": "wss://x/mcp", "type": "ws"}, None),
        ({"url": "ws://x/mcp"}, None),
    ],
    ids=str,
)
def test_a_url_is_read_and_its_transport_named_where_connect_must_know(
    entry: dict[str, Any], transport: str | None
) -> None:
    server = loaded({**entry, "headers": {"Authorization": "Bearer ${TOKEN}"}})
    assert server.target == entry["url"]
    expected = {"headers": {"Authorization": "Bearer s3cret"}}
    assert server.options == (expected if transport is None else {**expected, "transport": transport})
    assert "s3cret" not in repr(server)


@pytest.mark.parametrize(
    ("given", "seconds"), [(5, 5.0), (0.5, 0.5), (999, 999.0), (1000, 1.0), (60_000, 60.0)], ids=str
)
def test_a_timeout_is_of_seconds_or_where_it_is_large_of_milliseconds(given: float, seconds: float) -> None:
    timeouts = loaded({"command": "x", "timeout": given}).options["timeouts"]
    assert timeouts == Timeouts(request=seconds, most=max(600.0, seconds))


def test_servers_may_stand_where_vs_code_has_them_and_some_be_disabled() -> None:
    contents = {
        "inputs": [],
        "servers": {
            "a": {"command": "x"},
            "b": {"command": "${NEVER}", "disabled": True},
            "c": {"command": "x", "disabled": False},
            "d": {"url": "nonsense", "enabled": False},
        },
    }
    configuration = load_configuration(contents)
    assert list(configuration.servers) == ["a", "c"]
    assert configuration.disabled == ("b", "d")


def test_keys_that_can_be_no_names_are_made_into_names_and_none_are_alike() -> None:
    keys = ["a b", "a-b", "@21st-dev/magic", "a__b", "günther", "日本", "a/b", "x" * 50]
    configuration = load_configuration({"mcpServers": {key: {"command": "x"} for key in keys}})
    servers = list(configuration.servers.values())
    assert [server.key for server in servers] == keys
    names = [server.name for server in servers]
    assert names[1:5] == ["a-b", "21st-dev-magic", "a_b", "g-nther"]
    assert names[0].startswith("a-b-")
    assert names[6].startswith("a-b-")
    assert names[5].startswith("server-")
    assert len(set(names)) == len(keys)


def test_variables_that_the_environment_does_not_have_can_be_given() -> None:
    server = loaded(
        {"command": "${workspaceFolder}/run", "args": ["${input:key}", "$HOME", "$${HOME}", "${A:-}"]},
        variables={"workspaceFolder": "/w", "input:key": "${TOKEN}"},
    )
    assert server.target == ["/w/run", "${TOKEN}", "$HOME", "$/home/ann", ""]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "mcpServers.one: expected either command or url, found neither"),
        ({"command": "x", "url": "https://y"}, "mcpServers.one: expected either command or url, found both"),
        ({"command": 3}, "mcpServers.one.command: expected a string, found a number"),
        ({"command": ""}, "mcpServers.one.command: it is empty"),
        ({"command": "x", "args": "y"}, "mcpServers.one.args: expected an array, found a string"),
        ({"command": "x", "args": ["y", None]}, "mcpServers.one.args[1]: expected a string, found null"),
        ({"command": "x", "env": {"A": 1}}, "mcpServers.one.env.A: expected a string, found a number"),
        ({"command": "x", "env": []}, "mcpServers.one.env: expected an object, found an array"),
        ({"command": "x", "env": {"A": "${NO}"}}, "mcpServers.one.env.A: there is no environment variable NO"),
        ({"command": "x", "cwd": "${a:b}"}, "mcpServers.one.cwd: unknown variable ${a:b}"),
        ({"command": "x", "type": "sse"}, "mcpServers.one.type: it does not go with command"),
        ({"command": "x", "type": "carrier-pigeon"}, "mcpServers.one.type: expected one of stdio"),
        ({"command": "x", "type": 1}, "mcpServers.one.type: expected one of stdio"),
        ({"url": "https://x", "type": "stdio"}, "mcpServers.one.type: it does not go with url"),
        ({"url": "ftp://x"}, "mcpServers.one.url: expected http:// or https://"),
        ({"url": "https://x", "type": "ws"}, "mcpServers.one.url: expected ws:// or wss://"),
        ({"url": 1}, "mcpServers.one.url: expected a string, found a number"),
        ({"url": "https://x", "headers": {"A": True}}, "mcpServers.one.headers.A: expected a string, found true"),
        ({"command": "x", "timeout": "5"}, "mcpServers.one.timeout: expected a number of seconds"),
        ({"command": "x", "timeout": 0}, "mcpServers.one.timeout: expected a number of seconds"),
        ({"command": "x", "timeout": True}, "mcpServers.one.timeout: expected a number of seconds"),
        ({"command": "x", "disabled": "yes"}, "mcpServers.one.disabled: expected true or false, found a string"),
        ({"command": "x", "revision": "2020-01-01"}, "mcpServers.one.revision: there are 2024-11-05"),
        (7, "mcpServers.one: expected an object, found a number"),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_the_server_and_the_key(entry: Any, said: str) -> None:
    assert problem({"mcpServers": {"one": entry}}).startswith(said)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({}, "the top: expected mcpServers or servers, found neither"),
        ({"mcpServers": {}, "servers": {}}, "the top: expected mcpServers or servers, found both"),
        ({"mcpServers": []}, "mcpServers: expected an object, found an array"),
    ],
    ids=str,
)
def test_contents_that_are_no_configuration_are_refused(contents: Any, said: str) -> None:
    assert problem(contents) == said


def test_all_mistakes_are_told_at_once_and_no_values_with_them(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    servers = {"a": {"command": 1}, "b": {"url": "s3cret"}, "c": {"command": "x", "env": {"K": ["s3cret"]}}}
    path.write_text(json.dumps({"mcpServers": servers}))
    said = problem(path)
    assert said.startswith(f"{path}: ")
    assert all(f"mcpServers.{name}." in said for name in "abc")
    assert "s3cret" not in said


def test_a_file_may_have_comments_and_last_commas(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(
        b"\xef\xbb\xbf"
        b"""{
        // The servers of this project.
        "servers": {
            "one": {"command": "x", /* what
            follows */ "args": ["https://a//b", "/* kept */", "a,]", "\\"//",],},
        },
    }"""
    )
    assert load_configuration(path).servers["one"].target == ["x", "https://a//b", "/* kept */", "a,]", '"//']


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_plain_json_is_left_as_it_is(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert without_comments(text.encode("utf-8", "surrogatepass")) == text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "invalid JSON"),
        (b"[]", "the top: expected an object, found an array"),
        (b" " * (2**20 + 1), "too long for a configuration"),
    ],
    ids=["invalid JSON", "an array", "too long"],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(data)
    assert said in problem(path)
    assert "cannot be read" in problem(tmp_path / "nowhere.json")
    assert "cannot be read" in problem(tmp_path)


def test_keys_that_are_not_known_are_passed_over_with_a_line_in_the_log(logged: Logged) -> None:
    loaded({"command": "x", "comand": "y", "autoApprove": [], "headers": {}})
    assert logged.of("configuration.key_ignored") == [{"server": "one", "keys": ["autoApprove", "comand", "headers"]}]


async def test_a_group_connects_what_the_configuration_names(tmp_path: Path) -> None:
    (tmp_path / "adder.py").write_text((ROOT / "examples" / "add.py").read_text())
    path = tmp_path / "mcp.json"
    adder = {"command": sys.executable, "args": ["-m", "trimcp", "run", str(tmp_path / "adder.py")], "cwd": str(ROOT)}
    path.write_text(
        json.dumps(
            {"mcpServers": {"my adder": adder, "gone": {"command": "no-such-command"}, "off": {"disabled": True}}}
        )
    )
    with trio.fail_after(60):
        async with trimcp.open_group(load_configuration(path)) as group:
            await group.wait_attempted()
            assert list(group.members) == ["my-adder", "gone"]
            assert [tool.name for tool in await group.list_tools()] == ["my-adder__add"]
            assert (await group.call_tool("my-adder__add", {"a": 1, "b": 2}, returns=int)) == 3


@pytest.mark.parametrize("text", ["${A:-${B}}", "${A", "x${B}${A:-{}"])
def test_a_variable_within_another_or_without_an_end_is_a_mistake(text: str) -> None:
    servers = {"mcpServers": {"one": {"command": "c", "args": [text]}}}
    with pytest.raises(trimcp.UsageError, match=r"one\.args\[0\]: there is a \$\{ that is not closed"):
        load_configuration(servers, environment={"B": "b"})


def test_auth_of_a_url_makes_a_hook(tmp_path: Path) -> None:
    seen: list[tuple[object, str, str]] = []

    def sign_in(value: object, path: str, url: str) -> trimcp.ClientAuth:
        seen.append((value, path, url))
        return auth.OAuth()

    url = "https://mcp.example/mcp"
    assert isinstance(loaded({"url": url, "auth": "oauth"}).options["auth"], auth.OAuth)
    assert "s3cret" not in repr(loaded({"url": url, "auth": {"clientId": "one", "clientSecret": "${TOKEN}"}}))
    loaded({"url": url, "auth": {"clientSecret": "${TOKEN}", "scopes": ["${HOME}"]}}, sign_in=sign_in)
    assert seen == [({"clientSecret": "s3cret", "scopes": ["/home/ann"]}, "mcpServers.one.auth", url)]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"auth": "basic"}, 'mcpServers.one.auth: give "oauth"'),
        ({"auth": {"clientId": "${GONE}"}}, "mcpServers.one.auth.clientId: there is no environment variable GONE"),
        ({"auth": {"clientid": "x"}}, "mcpServers.one.auth.clientid: did you mean clientId?"),
        ({"auth": "oauth", "headers": {"authorization": "x"}}, "mcpServers.one.auth: Authorization is in headers"),
    ],
)
def test_an_auth_that_is_wrong_is_named(entry: dict[str, Any], said: str) -> None:
    assert problem({"mcpServers": {"one": {"url": "https://mcp.example/mcp", **entry}}}).startswith(said)
