"""The connection to Valkey: commands and scripts with a deadline, through valkey-glide.

Its client has one connection for all commands. It retries no command: a write whose answer is lost may have been done,
so every script may run twice without harm. The library is imported with the first connection.

The library keeps the deadline of each command, in a thread of its own. A deadline of Trio would also pass while a
handler holds up the event loop, and would drop answers that came in time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.stores.failures import StoreUnavailable
from trimcp.stores.valkey.address import ValkeyAddress

Bytes = bytes | str

DEADLINE: Final = 0.25
"""Seconds that one command may take."""
CONNECT: Final = 5.0
"""Seconds for the first command, at the start of a run."""
CONNECT_AGAIN: Final = 1.0
"""Seconds for a server to take a connection. A client of several servers waits so long where one of them hangs, so this
is short: a renewal of the lease may wait for a new client. A client of one server has its own deadline, if that is
longer."""
SCHEMA: Final = b"2"
"""The version of the data, in the key `prefix:schema`."""
FAILURES: Final = 5
"""Calls in a row without an answer after which calls fail at once."""
PAUSE: Final = 1.0
"""Seconds for which calls then fail at once, before one call tries again."""


def hash_of(id: str) -> str:
    """Return the hash of an id, by which keys know it."""
    return hashlib.sha256(id.encode(errors="surrogatepass")).hexdigest()[:40]


class Script:
    """A Lua script, which the server knows by its digest. A server that is full refuses it, unless a flag allows it."""

    def __init__(self, source: str, flag: Literal["", "no-writes", "allow-oom"] = "") -> None:
        """
        Args:
            source: its text.
            flag: "no-writes" for a script that only reads, "allow-oom" for one that a full server must run.
        """
        self.source: str = f"#!lua flags={flag}\n{source}"
        self.digest: str = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


@attrs.frozen
class ScriptCall:
    """One call of a script: its keys, which are in one slot, and its arguments."""

    script: Script
    keys: tuple[Bytes, ...]
    args: tuple[Bytes, ...]

    def command(self, *, by_digest: bool) -> list[Bytes]:
        """Return the command; the server remembers the source where it is given."""
        head: list[Bytes] = ["EVALSHA", self.script.digest] if by_digest else ["EVAL", self.script.source]
        return [*head, str(len(self.keys)), *self.keys, *self.args]


class CircuitBreaker:
    """Refuses calls at once while the server does not answer, so that callers do not all wait for their deadline."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_at = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, since none was answered of late."""
        return self._failures >= FAILURES

    def check(self) -> bool:
        """Return whether this call tries for all others whether the server answers again.

        Raises:
            StoreUnavailable: the last calls had no answer.
        """
        if not self.is_open:
            return False
        now = trio.current_time()
        if now < self._closed_at:
            raise StoreUnavailable("Valkey does not answer: it is asked again in a moment")
        self._closed_at = now + PAUSE
        return True

    def open(self) -> None:
        """Refuse calls from now on: the server answers, but not as it should."""
        self._failures = FAILURES

    def answered(self) -> None:
        """Note that the server has answered."""
        self._failures = 0

    def failed(self) -> None:
        """Note that a call had no answer."""
        self._failures += 1
        if self.is_open:
            self._closed_at = trio.current_time() + PAUSE


class Connection:
    """The client of one store, open for the life of a run."""

    def __init__(self, address: ValkeyAddress, deadline: float = DEADLINE) -> None:
        """
        Args:
            address: where the server is.
            deadline: seconds that one command may take.
        """
        self.address: ValkeyAddress = address
        self._deadline = deadline
        self._breaker = CircuitBreaker()
        self._opened = 0
        self._opening = trio.Lock()
        self._client: Any = None
        self._is_finding = False
        self._is_demoted = False
        """Whether the server of the client was the primary, and is a replica now."""

    def key(self, kind: str, id: str = "") -> str:
        """Return the key of one thing; all keys that begin with it are in one slot."""
        return f"{self.address.prefix}:{kind}:{{{hash_of(id) if id else kind}}}"

    # --- life -------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, unless it is connected.

        Raises:
            UsageError: the library is missing, or the server cannot be reached or is not fit to keep data.
        """
        async with self._opening:
            if not self._opened:
                await self._check_server()
                self._client = await self.connect(self._deadline)
            self._opened += 1

    async def close(self) -> None:
        """Undo one `open`; close the connection with the last one."""
        self._opened -= 1
        if not self._opened:
            client, self._client = self._client, None
            await client.close()

    async def connect(
        self, seconds: float, channel: str | None = None, receive: Callable[[bytes], None] | None = None
    ) -> Any:
        """Make a client, which connects with its first command.

        Args:
            seconds: that one command may take, once it has connected.
            channel: subscribed to by this client, which is then for nothing else.
            receive: called in Trio's thread with each message of that channel.
        """
        try:
            import glide
        except ImportError as exc:
            raise UsageError.not_installed(exc.name, "valkey") from exc
        glide.Logger.set_logger_config(glide.LogLevel.OFF)  # it writes to stdout, which is a channel of messages here
        address = self.address
        kind: Any = glide.GlideClient
        settings: Any = glide.GlideClientConfiguration
        advanced: Any = glide.AdvancedGlideClientConfiguration
        if address.cluster:
            kind = glide.GlideClusterClient
            settings = glide.GlideClusterClientConfiguration
            advanced = glide.AdvancedGlideClusterClientConfiguration
        options: dict[str, Any] = {}
        if channel is not None and receive is not None:
            mode = settings.PubSubChannelModes.Exact
            options["pubsub_subscriptions"] = settings.PubSubSubscriptions(
                {mode: {channel}}, lambda message, _: receive(message.message), None
            )
        if address.password is not None:
            options["credentials"] = glide.ServerCredentials(address.password, address.user)
        configuration = settings(
            [glide.NodeAddress(host, port) for host, port in address.hosts],
            use_tls=address.tls,
            request_timeout=int(1000 * seconds),
            reconnect_strategy=glide.BackoffStrategy(num_of_retries=4, factor=50, exponent_base=2),
            client_name="trimcp",
            # Else the making of a client waits for the server in Trio's thread.
            lazy_connect=True,
            advanced_config=advanced(
                connection_timeout=int(
                    1000 * (CONNECT_AGAIN if len(address.hosts) > 1 else max(seconds, CONNECT_AGAIN))
                ),
                tls_config=_tls(glide, address) if address.tls else None,
                pubsub_reconciliation_interval=100,
            ),
            **options,
        )
        return await kind.create(configuration)

    async def _check_server(self) -> None:
        client = await self.connect(CONNECT)
        try:
            with trio.fail_after(CONNECT):
                found = await client.info([_section("MEMORY")])
                schema = self.key("schema")
                await client.custom_command(["SET", schema, SCHEMA, "NX"])
                kept = await client.custom_command(["GET", schema])
        except Exception as exc:
            reason = " ".join(str(exc).split()) or "no answer"
            checks = (
                "the password and the certificates" if self.address.tls else "the password and, for TLS, valkeys://"
            )
            raise UsageError(
                f"The store {self.address} cannot be reached ({reason}): check its address, {checks}"
            ) from exc
        finally:
            with trio.move_on_after(CONNECT, shield=True):
                await client.close()
        for info in found.values() if isinstance(found, dict) else (found,):
            policy = _field(info, b"maxmemory_policy")
            if policy != b"noeviction":
                raise UsageError(
                    f"The store {self.address} removes data when it is full (maxmemory-policy {policy.decode()}): "
                    "set maxmemory-policy noeviction"
                )
        if kept != SCHEMA:
            raise UsageError(
                f"The store {self.address} has data of schema {kept.decode()}, and this version of trimcp reads schema "
                f"{SCHEMA.decode()}: give another prefix, or use the version of trimcp that wrote it"
            )

    # --- calls ------------------------------------------------------------------------

    async def command(self, *args: Bytes) -> Any:
        """Return the answer to one command.

        Raises:
            StoreUnavailable: there was none in time, or the server refused.
        """
        return await self._answer(lambda client: client.custom_command(list(args)))

    async def run(self, script: Script, keys: Sequence[Bytes], *args: Bytes) -> Any:
        """Return the answer of one script. See `command`."""
        call = ScriptCall(script, tuple(keys), args)
        try:
            return await self.command(*call.command(by_digest=True))
        except StoreUnavailable as exc:
            if not _is_unknown(exc.__cause__):
                raise
        return await self.command(*call.command(by_digest=False))  # the server was restarted, or is new

    async def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return the answers of several scripts, in one round trip; the exception of each that failed.

        Raises:
            StoreUnavailable: there was no answer in time.
        """
        if len(calls) == 1:  # a batch costs twice as much
            try:
                return [await self.run(calls[0].script, calls[0].keys, *calls[0].args)]
            except StoreUnavailable as exc:
                if not _is_answer(exc.__cause__):
                    raise
                return [exc.__cause__]
        answers = await self.all([call.command(by_digest=True) for call in calls])
        unknown = [n for n, answer in enumerate(answers) if _is_unknown(answer)]
        if unknown:
            again = await self.all([calls[n].command(by_digest=False) for n in unknown])
            for n, answer in zip(unknown, again, strict=True):
                answers[n] = answer
        return answers

    async def all(self, commands: Sequence[list[Bytes]]) -> list[Any]:
        """Return the answers to several commands, in one round trip. See `run_all`."""
        import glide

        batch: Any = (glide.ClusterBatch if self.address.cluster else glide.Batch)(is_atomic=False)
        for command in commands:
            batch.custom_command(command)
        answers: list[Any] = await self._answer(lambda client: client.exec(batch, raise_on_error=False))
        return answers

    async def _answer(self, ask: Callable[[Any], Any]) -> Any:
        if self._client is None:
            raise UsageError(f"The store {self.address} is not open: use it inside of `async with store.open()`")
        if self._breaker.check():
            await self._find_primary()
        try:
            answer = await ask(self._client)
        except Exception as exc:
            if not _is_answer(exc):
                self._breaker.failed()
            elif "READONLY" in str(exc).upper():
                self._is_demoted = True
                self._breaker.open()
            else:  # such as NOSCRIPT after a restart
                self._breaker.answered()
            raise StoreUnavailable(f"Valkey failed: {_why(exc)}") from exc
        self._breaker.answered()
        return answer

    async def _find_primary(self) -> None:
        """Replace the client: it stays with a connection that hangs, and with the primary that it found first.

        Other calls try with the client before meanwhile. Where one is answered, that client and its calls under way
        stay, unless its server is a replica, which answers reads alone.
        """
        if self._is_finding or self.address.cluster:
            return
        self._is_finding = True
        unused: Any = None
        try:
            client = unused = await self.connect(self._deadline)
            with trio.fail_after(CONNECT):
                await client.ping()
            if self._breaker.is_open or self._is_demoted:
                unused, self._client, self._is_demoted = self._client, client, False
        except Exception as exc:
            raise StoreUnavailable(f"Valkey takes no connection: {_why(exc)}") from exc
        finally:
            self._is_finding = False
            if unused is not None:
                with trio.move_on_after(CONNECT, shield=True):
                    await unused.close()


def _is_unknown(answer: object) -> bool:
    """Whether the server does not know a script by its digest."""
    return isinstance(answer, Exception) and "NOSCRIPT" in str(answer).upper()


def _is_answer(exc: BaseException | None) -> bool:
    """Whether the server itself has said this: then it is there."""
    return type(exc).__name__ == "RequestError"


def _why(exc: Exception) -> str:
    if type(exc).__name__ in ("TimeoutError", "TooSlowError"):
        return "no answer in time"
    return str(exc) or type(exc).__name__


def _section(name: str) -> Any:
    import glide

    return glide.InfoSection[name]


def _field(info: bytes, name: bytes) -> bytes:
    for line in info.splitlines():
        key, _, value = line.partition(b":")
        if key == name:
            return value
    return b"unknown"


def _tls(glide: Any, address: ValkeyAddress) -> Any:
    try:
        authorities = None if address.ca_file is None else Path(address.ca_file).read_bytes()
    except OSError as exc:
        raise UsageError(f"The file {address.ca_file} cannot be read ({exc}): give certificates in PEM") from None
    if authorities is not None and b"-----BEGIN CERTIFICATE-----" not in authorities:
        raise UsageError(f"The file {address.ca_file} has no certificate: give certificates in PEM")
    return glide.TlsAdvancedConfiguration(
        root_pem_cacerts=authorities, client_cert_path=address.cert_file, client_key_path=address.key_file
    )
