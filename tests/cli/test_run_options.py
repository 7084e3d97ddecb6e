"""What `trimcp run` makes of its options, and which do not go together."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path

import pytest

import trimcp
from tests.certificates import certificate
from tests.cli.conftest import SHOP, Run
from trimcp.cli import bindings as doors
from trimcp.cli import run as run_command


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run_command.configure(parser)
    return parser.parse_args([str(SHOP), *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--path", "/x"], "--path needs HTTP"),
        (["--websocket", "--sse"], "--sse needs HTTP"),
        (["--allow-host", "a", "--allow-origin", "b"], "--allow-host, --allow-origin needs HTTP"),
        (["--http", "--hypercorn"], "not allowed with argument --http"),
        (["--http", "1:2:3x"], "'1:2:3x' is not HOST:PORT: put FILE before this option"),
        (["--http", "65536"], "is not HOST:PORT"),
        (["--http", "--path", "x"], "'x' must begin with /"),
        (["--http", "8001", "--uds", "/tmp/s"], "on an address or on the Unix socket"),
        (["--hypercorn", "--certfile", "c"], "TLS needs both"),
        (["--http", "--certfile", "c", "--keyfile", "k"], "--certfile needs a server with TLS"),
        (["--hypercorn", "--certfile", "no", "--keyfile", "no"], "cannot use no and no for TLS: "),
        (["--workers", "2"], "--workers needs an address: add --http, --hypercorn, --uds or --websocket"),
        (["--hypercorn", "--workers", "0"], "'0' is not a number of processes"),
        (["--http", "--grace", "-1"], "'-1' is not a number of seconds"),
        (["--http", "0", "--store", "redis://host"], "Invalid store redis: write memory:, sqlite:FILE"),
        (
            ["--http", "0", "--store", "sqlite:/no/such/directory/state.db"],
            "The store /no/such/directory/state.db cannot",
        ),
        (["--store", "sqlite:/no/such/directory/state.db"], "The store /no/such/directory/state.db cannot be used"),
        (["--http", "0", "--store", "valkey://ada:secret@host"], "it must have no password"),
        (["--http", "0", "--store", "valkey://127.0.0.1:1/t"], "valkey://127.0.0.1:1/t cannot be reached"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run: Run, arguments: list[str], said: str) -> None:
    done = run("run", str(SHOP), *arguments)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8001", "127.0.0.1", 8001),
        (":8001", "127.0.0.1", 8001),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:0", "::1", 0),
        ("localhost:1", "localhost", 1),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert options("--http", text).http == doors.Address(host, port)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--http"], ["http://127.0.0.1:1/mcp"]),
        (["--http", "--sse", "--path", "/x"], ["http://127.0.0.1:1/x and http://127.0.0.1:1/sse"]),
        (["--hypercorn", "--websocket"], ["http://127.0.0.1:1/mcp", "ws://127.0.0.1:1/mcp"]),
        (["--hypercorn", "--certfile", "{cert}", "--keyfile", "{key}"], ["https://127.0.0.1:1/mcp"]),
        (["--websocket", "--certfile", "{cert}", "--keyfile", "{key}"], ["wss://127.0.0.1:1/mcp"]),
    ],
)
def test_it_says_what_clients_connect_to(arguments: list[str], where: list[str], tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    chosen = options(*(argument.format(cert=cert, key=key) for argument in arguments))
    assert doors.check(chosen)
    made = doors.bindings_of(trimcp.Server("x"), chosen)
    assert [door.describe(("127.0.0.1", 1)) for door in made] == where


def test_a_unix_socket_is_named_with_what_is_spoken_on_it() -> None:
    chosen = options("--uds", "/run/s")
    (door,) = doors.bindings_of(trimcp.Server("x"), chosen)
    assert door.describe("/run/s") == "unix:/run/s (http, /mcp)"


def test_without_a_door_it_is_stdio() -> None:
    assert not doors.check(options())


def test_the_server_of_a_tls_door_has_the_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    chosen = options("--websocket", "--certfile", str(cert), "--keyfile", str(key))
    (door,) = doors.bindings_of(trimcp.Server("x"), chosen)
    assert isinstance(door.serve.keywords["ssl_context"], ssl.SSLContext)  # type: ignore[attr-defined]
