"""`KeyringStore`, with a keyring that is a dictionary."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from trimcp.auth import FileStore, KeyringStore, TokenKey
from trimcp.errors import UsageError

KEY = TokenKey("https://as.example", "https://mcp.example/mcp", "client")


class NoKeyring:
    """What the library has where there is none."""


class Keyring(types.ModuleType):
    """Stands in for the library."""

    def __init__(self, backend: object) -> None:
        super().__init__("keyring")
        self.entries: dict[tuple[str, str], str] = {}
        self._backend = backend

    def get_keyring(self) -> object:
        return self._backend

    def get_password(self, service: str, name: str) -> str | None:
        return self.entries.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        self.entries[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        del self.entries[service, name]


def install(monkeypatch: pytest.MonkeyPatch, backend: object) -> Keyring:
    fail = types.ModuleType("keyring.backends.fail")
    fail.Keyring = NoKeyring  # type: ignore[attr-defined]
    made = Keyring(backend)
    for name, module in {
        "keyring": made,
        "keyring.backends": types.ModuleType("keyring.backends"),
        "keyring.backends.fail": fail,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


async def test_entries_are_in_the_keyring_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keyring = install(monkeypatch, object())
    store = KeyringStore(FileStore(tmp_path / "auth"))
    assert await store.read(KEY) is None
    assert await store.replace(KEY, None, {"access_token": "canary"})
    assert not await store.replace(KEY, None, {"access_token": "other"})
    entry = await store.read(KEY)
    assert entry is not None
    assert entry.value == {"access_token": "canary"}
    assert all(b"canary" not in path.read_bytes() for path in (tmp_path / "auth").iterdir())
    assert "canary" not in repr(store)
    async with store.lock(KEY):
        assert await store.replace(KEY, entry.generation, None)
    assert not keyring.entries
    assert await store.replace(KEY, None, None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"generation": 1}', '{"generation": 1, "value": 5}'])
async def test_a_damaged_entry_is_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    keyring = install(monkeypatch, object())
    store = KeyringStore(FileStore(tmp_path / "auth"))
    await store.replace(KEY, None, {"a": 1})
    (name,) = keyring.entries
    keyring.entries[name] = text
    assert await store.read(KEY) is None
    assert await store.replace(KEY, None, {"a": 2})


def test_a_machine_without_a_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, NoKeyring())
    with pytest.raises(UsageError, match="FileStore"):
        KeyringStore()
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(UsageError, match="pip install keyring"):
        KeyringStore()
