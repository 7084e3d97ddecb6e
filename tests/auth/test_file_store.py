"""`FileStore`: who may read its files, what is no file of its, and processes that share it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import trio
import trio.testing

from tests.programs import ROOT
from tests.session.peer import logged
from trimcp.auth import FileStore, MemoryStore, TokenKey, TokenStore
from trimcp.errors import UsageError

__all__ = ["logged"]

KEY = TokenKey("https://as.example/", "https://mcp.example/mcp", "client")
posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are of POSIX")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "auth"


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, directory: Path) -> TokenStore:
    return MemoryStore() if request.param == "memory" else FileStore(directory)


def the_file(directory: Path) -> Path:
    (found,) = directory.glob("*.json")
    return found


async def test_a_change_names_the_generation_that_it_replaces(store: TokenStore) -> None:
    assert await store.read(KEY) is None
    assert not await store.replace(KEY, "other", {"a": 0})
    assert await store.replace(KEY, None, {"a": 1})
    assert not await store.replace(KEY, None, {"a": 2})
    first = await store.read(KEY)
    assert first is not None
    assert first.value == {"a": 1}
    assert await store.replace(KEY, first.generation, {"a": 3})
    assert not await store.replace(KEY, first.generation, None)
    second = await store.read(KEY)
    assert second is not None
    assert second.generation != first.generation
    assert await store.replace(KEY, second.generation, None)
    assert await store.read(KEY) is None


async def test_issuers_that_differ_by_a_slash_have_entries_of_their_own(store: TokenStore) -> None:
    other = TokenKey("https://as.example", KEY.resource, KEY.client)
    assert await store.replace(KEY, None, {"a": 1})
    assert await store.read(other) is None


async def test_an_entry_shows_no_value(store: TokenStore) -> None:
    await store.replace(KEY, None, {"access_token": "canary"})
    assert "canary" not in repr(await store.read(KEY))
    assert "canary" not in repr(store)


async def test_one_holder_at_a_time_has_a_lock(store: TokenStore) -> None:
    held = 0

    async def hold() -> None:
        nonlocal held
        async with store.lock(KEY):
            held += 1
            assert held == 1
            await trio.lowlevel.checkpoint()
            held -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(hold)
    async with store.lock(KEY), store.lock(TokenKey("other", "", "")):
        pass


async def test_a_cancelled_wait_for_a_lock_leaves_it_free(store: TokenStore) -> None:
    async def wait() -> None:
        async with store.lock(KEY):
            raise AssertionError

    async with store.lock(KEY), trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    async with store.lock(KEY):
        pass


@posix
async def test_directory_and_file_are_the_users_alone(directory: Path) -> None:
    old = os.umask(0)
    try:
        await FileStore(directory).replace(KEY, None, {"a": 1})
    finally:
        os.umask(old)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert the_file(directory).stat().st_mode & 0o777 == 0o600
    assert not list(directory.glob("*.new"))


@posix
@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
async def test_a_directory_that_is_open_to_others_is_refused(directory: Path, mode: int) -> None:
    await FileStore(directory).replace(KEY, None, {"a": 1})
    directory.chmod(mode)
    with pytest.raises(UsageError, match="chmod 700"):
        await FileStore(directory).read(KEY)
    with pytest.raises(UsageError, match="chmod 700"):
        await FileStore(directory).replace(KEY, None, {"a": 2})


@posix
async def test_a_file_that_is_open_to_others_is_refused(directory: Path) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    the_file(directory).chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        await store.read(KEY)


@posix
async def test_no_link_is_followed(directory: Path, tmp_path: Path) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    file, elsewhere = the_file(directory), tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="cannot be read"):
        await store.read(KEY)
    link = tmp_path / "link"
    link.symlink_to(directory)
    with pytest.raises(UsageError, match="not a link"):
        await FileStore(link).read(KEY)


@posix
async def test_a_pipe_in_place_of_a_file_does_not_hang(directory: Path) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    file = the_file(directory)
    file.unlink()
    os.mkfifo(file, 0o600)
    with trio.fail_after(60), pytest.raises(UsageError, match="regular file"):
        await store.read(KEY)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"issuer": 1}', b"\xff\xfe", b"null"])
async def test_a_damaged_file_is_as_none_and_is_written_anew(directory: Path, damage: bytes) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    the_file(directory).write_bytes(damage)
    assert await store.read(KEY) is None
    assert await store.replace(KEY, None, {"a": 2})
    entry = await store.read(KEY)
    assert entry is not None
    assert entry.value == {"a": 2}


async def test_a_file_of_another_key_is_as_none(directory: Path) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    file = the_file(directory)
    file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "issuer": "https://evil.example"}))
    assert await store.read(KEY) is None


async def test_what_a_dead_process_left_is_no_hindrance(directory: Path) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    the_file(directory).with_suffix(".new").write_bytes(b"half")
    entry = await store.read(KEY)
    assert entry is not None
    assert await store.replace(KEY, entry.generation, {"a": 2})
    assert not list(directory.glob("*.new"))


async def test_a_failed_write_leaves_the_old_entry(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(directory)
    await store.replace(KEY, None, {"a": 1})
    entry = await store.read(KEY)
    assert entry is not None

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trimcp.auth.file_store.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        await store.replace(KEY, entry.generation, {"a": 2})
    again = await store.read(KEY)
    assert again is not None
    assert again.value == {"a": 1}
    assert not list(directory.glob("*.new"))


ROTATE = """
import sys, trio
from trimcp.auth import FileStore, TokenKey

KEY = TokenKey("i", "r", "c")

async def main(directory, name, times):
    store = FileStore(directory)
    for _ in range(times):
        async with store.lock(KEY):
            entry = await store.read(KEY)
            used = entry.value["token"]
            with open(f"{directory}/used-{used}", "x"):  # a token that is used twice is an error
                pass
            assert await store.replace(KEY, entry.generation, {"token": used + 1})

trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


async def test_two_processes_rotate_one_token(directory: Path) -> None:
    store, key, times = FileStore(directory), TokenKey("i", "r", "c"), 10
    await store.replace(key, None, {"token": 0})
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    async def run(name: str) -> None:
        command = [sys.executable, "-c", ROTATE, str(directory), name, str(times)]
        await trio.run_process(command, env=environment, capture_stderr=True, stdin=subprocess.DEVNULL)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(run, name)
    entry = await store.read(key)
    assert entry is not None
    assert entry.value == {"token": 2 * times}


async def test_the_lock_of_a_process_that_dies_is_free(directory: Path) -> None:
    program = (
        "import sys, trio\nfrom trimcp.auth import FileStore, TokenKey\n"
        "async def main():\n"
        "    async with FileStore(sys.argv[1]).lock(TokenKey('i', 'r', 'c')):\n"
        "        print('held', flush=True)\n        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await trio.to_thread.run_sync(
        lambda: subprocess.Popen(
            [sys.executable, "-c", program, str(directory)], env=environment, stdout=subprocess.PIPE
        )
    )
    try:
        assert process.stdout is not None
        assert await trio.to_thread.run_sync(process.stdout.readline) == b"held\n"
        store = FileStore(directory)
        with trio.move_on_after(0.2) as scope:
            async with store.lock(TokenKey("i", "r", "c")):
                raise AssertionError
        assert scope.cancelled_caught
        process.kill()
        process.wait()
        with trio.fail_after(60):
            async with store.lock(TokenKey("i", "r", "c")):
                pass
    finally:
        process.kill()
        process.communicate()
