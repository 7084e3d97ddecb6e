"""A server is known by how it is reached: without secrets where it is shown, with all of it in the identity."""

from __future__ import annotations

from pathlib import Path

import pytest

import trimcp
from trimcp.client.features.peer_server import PeerServer
from trimcp.transports.memory import memory_pair


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("https://ann:secret@a.example/mcp?key=abc#x", "https://a.example/mcp"),
        ("unix:/run/notes.sock", "unix:/run/notes.sock"),
        ("server.py", "server.py"),
        (Path("server.py"), "server.py"),
        (["npx", "a server", "--token", "abc"], "npx 'a server' --token ••••••"),
    ],
)
def test_the_address_has_no_secret(target: object, address: str) -> None:
    server = PeerServer.of(target)
    assert (server.address.replace("'••••••'", "••••••"), server.name) == (address, server.address)
    assert server.identity is not None


def test_another_secret_or_another_file_is_another_server(tmp_path: Path) -> None:
    def identity(target: object, cwd: Path | None = None) -> str | None:
        return PeerServer.of(target, cwd).identity

    assert identity("https://a.example/?key=1") != identity("https://a.example/?key=2")
    assert identity(["npx", "notes"]) == identity(["npx", "notes"]) != identity(["npx", "bank"])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.py").touch()
    command = ["python", "server.py"]
    assert identity(command, tmp_path / "one") != identity(command, tmp_path / "two")
    assert identity(["python", str(tmp_path / "one" / "server.py")]) == identity(command, tmp_path / "one")


async def test_a_connection_of_the_program_has_no_identity() -> None:
    ours, theirs = memory_pair()
    assert PeerServer.of(ours).identity is None
    assert PeerServer.of(trimcp.Server("notes")).identity is not None
    await ours.aclose()
    await theirs.aclose()
