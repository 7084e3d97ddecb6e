"""The writer of a recording: a wire tap that writes each message that passes to a file.

A thread reads, masks and writes, so that neither a slow disk nor a long message holds up a session. Where the file is
full, or more waits than may, the recording stops with one line on stderr, and the sessions go on.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import trimcp
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.framing.lines import Frame, LineSplitter, Oversized
from trimcp.framing.sse import EventParser
from trimcp.observability.stderr import write_line
from trimcp.recording.file import open_private
from trimcp.recording.format import Entry, Event, entry_line, header_line
from trimcp.recording.messages import Sender
from trimcp.recording.secrets import SchemasOf, SessionSecrets

MOST_BYTES: Final = 256 * 2**20
"""Bytes that a recording may have, unless an option says otherwise."""
MOST_WAITING: Final = 64 * 2**20
"""Bytes that may wait for the thread. With more, the disk is too slow, and the recording stops."""
LONGEST: Final = 32 * 2**20
"""Bytes of a message that is kept; of a longer one, the number of its bytes is."""
MOST_SESSIONS: Final = 10_000
"""Sessions whose secrets are remembered, the newest."""
OVERHEAD: Final = 64
"""Bytes that an event counts for, beside its message."""
LAST_LINE: Final = 200
"""Bytes that are kept free for the line that says that the recording stopped."""
FLUSH: Final = 5.0
"""Seconds that the thread has to write what waits, when the recording ends."""


class RecordingWriter:
    """Records to a file while its context lasts. A `WireTap` for any number of connections and exchanges."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        most_bytes: int = MOST_BYTES,
        schemas_of: SchemasOf | None = None,
        say: Callable[[str], None] = write_line,
    ) -> None:
        """
        Args:
            path: of the file.
            overwrite: whether a file of that name may be replaced.
            most_bytes: bytes of the file. Before it would have more, the recording stops.
            schemas_of: knows the tools of the server, whose schemas say what is secret, where it is of this process.
            say: shows a line to the user; called in the thread.
        """
        self.path: str = os.fspath(path)
        self._overwrite = overwrite
        self._most_bytes = most_bytes
        self._schemas_of = schemas_of
        self._say = say
        self._events: queue.SimpleQueue[tuple[int, Callable[[], None] | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._began = 0.0
        self._thread = threading.Thread(target=self._run, name="trimcp recording", daemon=True)
        self._is_over = False
        self._is_behind = False
        # What follows belongs to the thread.
        self._file: BinaryIO | None = None
        self._written = 0
        self._numbers = 0
        self._exchanges = 0
        self._stateless: int | None = None
        self._http_sessions: dict[str, int] = {}
        self._secrets: dict[int, SessionSecrets] = {}

    def __enter__(self) -> Self:
        """Make the file.

        Raises:
            UsageError: it exists, or cannot be made.
        """
        self._file = open_private(self.path, overwrite=self._overwrite)
        header = header_line(datetime.now(UTC).isoformat(timespec="seconds"), trimcp.__version__)
        self._began = time.monotonic()
        self._thread.start()
        self._tell(len(header), functools.partial(self._write, header))
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        """Write what waits, for some seconds at most."""
        self._events.put((0, None))
        self._thread.join(FLUSH)
        if self._thread.is_alive():
            self._say(f"trimcp: the recording {self.path} is incomplete: its disk takes nothing")

    # --- the tap ----------------------------------------------------------------------

    def connection(self) -> RecordedConnection:
        """See `WireTap`."""
        return RecordedConnection(self)

    def exchange(self, verb: str, session_id: str | None, body: bytes) -> RecordedExchange:
        """See `WireTap`."""
        return RecordedExchange(self, verb, session_id, body)

    @property
    def now(self) -> float:
        """Seconds since the recording began."""
        return time.monotonic() - self._began

    def tell(self, size: int, event: Callable[[], None]) -> None:
        """Give the thread something to do, in order. Never waits.

        Args:
            size: bytes that it holds until then.
            event: called in the thread.
        """
        if not self._is_over:
            self._tell(size + OVERHEAD, event)

    def _tell(self, size: int, event: Callable[[], None]) -> None:
        with self._lock:
            if self._waiting + size > MOST_WAITING:
                self._is_behind = self._is_over = True
                return
            self._waiting += size
        self._events.put((size, event))

    # --- in the thread ----------------------------------------------------------------

    def _run(self) -> None:
        while True:
            size, event = self._events.get()
            if event is None:
                break
            with self._lock:
                self._waiting -= size
            if self._file is None:
                continue
            try:
                event()
                if self._events.empty() and self._file is not None:
                    self._file.flush()
            except OSError as exc:
                self._stop(exc.strerror or "the disk fails")
            if self._events.empty():
                self._stop_if_behind()
        self._stop_if_behind()
        try:
            self._close()
        except OSError as exc:
            self._say(f"trimcp: the recording {self.path} is incomplete: {exc.strerror}")

    def _stop_if_behind(self) -> None:
        if self._is_behind:
            self._stop("its disk is too slow")

    def _stop(self, why: str) -> None:
        """End the recording before the sessions end."""
        self._is_over = True
        if self._file is None:
            return
        line = entry_line(Entry(at=self.now, session=0, event="stopped"))
        with contextlib.suppress(OSError):  # the reason may be that nothing can be written
            self._file.write(line)
        with contextlib.suppress(OSError):
            self._close()
        self._say(f"trimcp: the recording {self.path} stops here: {why}. The session goes on")

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        if self._written + len(line) + LAST_LINE > self._most_bytes:
            self._stop(f"it has {self._written} bytes, and may have {self._most_bytes}")
            return
        self._file.write(line)
        self._written += len(line)

    def new_session(self) -> int:
        """Return the number of a session that begins. In the thread, as all below."""
        self._numbers += 1
        self._secrets[self._numbers] = SessionSecrets(self._schemas_of)
        if len(self._secrets) > MOST_SESSIONS:
            del self._secrets[next(iter(self._secrets))]
        return self._numbers

    def new_exchange(self) -> int:
        """Return the number of an HTTP exchange that begins."""
        self._exchanges += 1
        return self._exchanges

    def session_of(self, session_id: str | None) -> int:
        """Return the number of an HTTP session; of stateless requests, where there is no id."""
        if session_id is None:
            if self._stateless is None:
                self._stateless = self.new_session()
            return self._stateless
        if session_id not in self._http_sessions:
            self.name_session(session_id, self.new_session())
        return self._http_sessions[session_id]

    def name_session(self, session_id: str, number: int) -> None:
        """Note the id of a session, which is never written."""
        self._http_sessions[session_id] = number
        if len(self._http_sessions) > MOST_SESSIONS:
            del self._http_sessions[next(iter(self._http_sessions))]

    def message(self, at: float, session: int, sender: Sender, frame: Frame, exchange: int | None = None) -> Any:
        """Write a message; return it as it was read, or None."""
        where: dict[str, Any] = {"at": at, "session": session, "sender": sender, "exchange": exchange}
        if isinstance(frame, Oversized):
            self._write(entry_line(Entry(**where, size=frame.limit)))
            return None
        if not frame.strip():
            return None
        secrets = self._secrets.get(session) or SessionSecrets(self._schemas_of)
        try:
            message = loads(frame)
        except InvalidJson:
            self._write(entry_line(Entry(**where, unreadable=secrets.unreadable(frame))))
            return None
        self._write(entry_line(Entry(**where, message=secrets.masked(sender, message))))
        return message

    def event(self, at: float, session: int, event: Event, exchange: int | None = None) -> None:
        """Write what happened between messages."""
        self._write(entry_line(Entry(at=at, session=session, event=event, exchange=exchange)))


class RecordedConnection:
    """Records one duplex connection. See `ConnectionTap`."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer
        self._has_ended = False
        # What follows belongs to the thread.
        self._session: int | None = None
        self._splitters = {"client": LineSplitter(LONGEST), "server": LineSplitter(LONGEST)}

    def passed(self, sender: Sender, data: bytes) -> None:
        """See `ConnectionTap`."""
        self._writer.tell(len(data), functools.partial(self._passed, self._writer.now, sender, data))

    def frame_passed(self, sender: Sender, frame: bytes) -> None:
        """See `ConnectionTap`."""
        self._writer.tell(len(frame), functools.partial(self._frame, self._writer.now, sender, frame))

    def oversized(self, sender: Sender, limit: int) -> None:
        """See `ConnectionTap`."""
        self._writer.tell(0, functools.partial(self._frame, self._writer.now, sender, Oversized(limit)))

    def ended(self) -> None:
        """See `ConnectionTap`."""
        if not self._has_ended:
            self._has_ended = True
            self._writer.tell(0, functools.partial(self._ended, self._writer.now))

    def _passed(self, at: float, sender: Sender, data: bytes) -> None:
        for frame in self._splitters[sender].feed(data):
            self._frame(at, sender, frame)

    def _frame(self, at: float, sender: Sender, frame: Frame) -> None:
        if self._session is None:
            self._session = self._writer.new_session()
        self._writer.message(at, self._session, sender, frame)

    def _ended(self, at: float) -> None:
        for sender, splitter in self._splitters.items():
            for frame in splitter.end():
                self._frame(at, sender, frame)  # type: ignore[arg-type]  # the keys are senders
        if self._session is not None:
            self._writer.event(at, self._session, "ended")


class RecordedExchange:
    """Records one HTTP exchange. See `ExchangeTap`."""

    def __init__(self, writer: RecordingWriter, verb: str, session_id: str | None, body: bytes) -> None:
        self._writer = writer
        self._verb = verb
        self._has_ended = False
        # What follows belongs to the thread.
        self._session = 0
        self._number = 0
        self._opens_session = False
        self._status = 0
        self._events: EventParser | None = None
        self._body = bytearray()
        writer.tell(len(body), functools.partial(self._asked, writer.now, session_id, body))

    def answered(self, status: int, media_type: str, session_id: str | None) -> None:
        """See `ExchangeTap`."""
        self._writer.tell(0, functools.partial(self._answered, status, media_type, session_id))

    def piece(self, data: bytes) -> None:
        """See `ExchangeTap`."""
        self._writer.tell(len(data), functools.partial(self._piece, self._writer.now, data))

    def ended(self, *, left: bool) -> None:
        """See `ExchangeTap`."""
        if not self._has_ended:
            self._has_ended = True
            self._writer.tell(0, functools.partial(self._ended, self._writer.now, left))

    def _asked(self, at: float, session_id: str | None, body: bytes) -> None:
        writer = self._writer
        self._number = writer.new_exchange()
        self._opens_session = session_id is None and self._verb == "POST" and _opens_session(body)
        self._session = writer.new_session() if self._opens_session else writer.session_of(session_id)
        if self._verb == "POST":
            writer.message(at, self._session, "client", body, self._number)

    def _answered(self, status: int, media_type: str, session_id: str | None) -> None:
        self._status = status
        if self._opens_session and session_id is not None:
            self._writer.name_session(session_id, self._session)
        if media_type == "text/event-stream":
            self._events = EventParser(LONGEST)

    def _piece(self, at: float, data: bytes) -> None:
        if self._events is None:
            if len(self._body) <= LONGEST:
                self._body += data
            return
        for event in self._events.feed(data):
            if isinstance(event, Oversized) or (event.data.strip() and event.event == b"message"):
                frame = event if isinstance(event, Oversized) else event.data
                self._writer.message(at, self._session, "server", frame, self._number)

    def _ended(self, at: float, left: bool) -> None:
        body = bytes(self._body)
        if self._events is None and body.lstrip()[:1] in (b"{", b"["):  # else it is a text of HTTP
            frame = body if len(body) <= LONGEST else Oversized(LONGEST)
            self._writer.message(at, self._session, "server", frame, self._number)
        if left and self._verb == "POST":
            self._writer.event(at, self._session, "left", self._number)
        elif self._verb == "DELETE" and self._status < 300:
            self._writer.event(at, self._session, "ended")


def _opens_session(body: bytes) -> bool:
    try:
        message = loads(body)
    except InvalidJson:
        return False
    return isinstance(message, dict) and message.get("method") == "initialize"
