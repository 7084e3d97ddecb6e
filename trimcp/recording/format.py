"""The format of a recording: lines of JSON, of which the first names the version of the format.

A line is read alone, so a file whose writer died is good up to its last whole line. The page `docs/recording.md`
describes the members.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, Literal

import attrs

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import UsageError
from trimcp.recording.messages import Kind, Sender, kind_of

SCHEMA: Final = 1
"""The version of the format. A reader refuses others."""
LONGEST_LINE: Final = 64 * 2**20
"""Bytes of a line that is read."""
MOST_BYTES: Final = 2**30
"""Bytes of a recording that is read, since all of it is kept in memory."""
DEEPEST: Final = 160
"""Nesting of a line: the deepest message that trimcp reads, and the line around it."""

Event = Literal["ended", "left", "stopped"]
"""`ended`: the connection or the session is over. `left`: the client let go of an HTTP exchange before its answer.
`stopped`: the recording ends here, and the session went on."""
EVENTS: Final = ("ended", "left", "stopped")


@attrs.frozen(kw_only=True)
class Entry:
    """One line of a recording: a message, or what happened between messages."""

    at: float
    """Seconds since the recording began."""
    session: int
    """The number of the session or connection. All stateless requests over HTTP are of one."""
    sender: Sender | None = None
    """The side that sent the message."""
    message: Any = None
    """The message, masked; a list for a batch."""
    exchange: int | None = None
    """Over HTTP: the number of the HTTP request that carried it, or whose response did."""
    unreadable: str | None = None
    """The beginning of what was sent and is no JSON, masked."""
    size: int | None = None
    """The bytes of a message that was too long to be kept."""
    event: Event | None = None
    """What happened, where it was no message."""

    @property
    def kind(self) -> Kind:
        """The kind of the message."""
        return kind_of(self.message)


@attrs.frozen(kw_only=True)
class Recording:
    """A recording that was read."""

    entries: tuple[Entry, ...]
    began: str
    """When it began, in UTC."""
    is_cut: bool = False
    """Whether its last line is incomplete, since its writer died."""

    def sessions(self) -> list[tuple[Entry, ...]]:
        """Return the entries of each session, in the order in which the sessions began."""
        found: dict[int, list[Entry]] = {}
        for entry in self.entries:
            if entry.event != "stopped":
                found.setdefault(entry.session, []).append(entry)
        return [tuple(entries) for entries in found.values()]


# --- writing --------------------------------------------------------------------------


def header_line(began: str, version: str) -> bytes:
    """Return the first line of a recording."""
    return dumps({"schema": SCHEMA, "recording": "mcp", "began": began, "trimcp": version}) + b"\n"


def entry_line(entry: Entry) -> bytes:
    """Return the line of an entry."""
    line: dict[str, Any] = {"at": round(entry.at, 6), "session": entry.session}
    if entry.exchange is not None:
        line["exchange"] = entry.exchange
    if entry.sender is not None:
        line["from"] = entry.sender
    if entry.event is not None:
        line["event"] = entry.event
    elif entry.size is not None:
        line["size"] = entry.size
    elif entry.unreadable is not None:
        line["unreadable"] = entry.unreadable
    else:
        line["message"] = entry.message
    return dumps(line) + b"\n"


# --- reading --------------------------------------------------------------------------


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a recording.

    Raises:
        UsageError: the file cannot be read, or is no recording of this version.
    """
    shown = os.fspath(path)
    try:
        with open(path, "rb") as file:
            return _read(file, shown)
    except OSError as exc:
        raise UsageError(f"cannot read {shown}: {exc.strerror}") from None


def _read(file: BinaryIO, name: str) -> Recording:
    lines = _lines(file, name)
    header, is_whole = next(lines, (b"", False))
    began = _began(header, is_whole, name)
    entries: list[Entry] = []
    is_cut = False
    for number, (line, is_whole) in enumerate(lines, 2):
        if not line.strip():
            continue
        try:
            entries.append(_entry(line))
        except _Wrong as exc:
            if is_whole:
                raise UsageError(f"{name}, line {number}: {exc}") from None
            is_cut = True
    return Recording(entries=tuple(entries), began=began, is_cut=is_cut)


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines, and whether each has its end."""
    total = 0
    while line := file.readline(LONGEST_LINE + 1):
        total += len(line)
        if len(line) > LONGEST_LINE:
            raise UsageError(f"{name} has a line of more than {LONGEST_LINE} bytes: it is no recording of trimcp")
        if total > MOST_BYTES:
            raise UsageError(f"{name} has more than {MOST_BYTES} bytes: record a shorter session")
        yield line, line.endswith(b"\n")


class _Wrong(Exception):
    """A line is not as the format says."""


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = loads(line, max_depth=DEEPEST)
    except InvalidJson as exc:
        raise _Wrong(f"not JSON: {exc.reason}") from None
    if not isinstance(value, dict):
        raise _Wrong("not a JSON object")
    return value


def _began(line: bytes, is_whole: bool, name: str) -> str:
    try:
        header = _object(line)
    except _Wrong:
        header = {}
    schema = header.get("schema")
    if not is_whole or header.get("recording") != "mcp" or type(schema) is not int:
        raise UsageError(f"{name} is no recording: make one by `trimcp record`")
    if schema != SCHEMA:
        raise UsageError(
            f"{name} has the format {schema}, and this trimcp reads {SCHEMA}: use the trimcp that wrote it"
        )
    return str(header.get("began", ""))


def _entry(line: bytes) -> Entry:
    value = _object(line)
    at = _member(value, "at", int, float)
    event = _choice(value, "event", EVENTS)
    sender = _choice(value, "from", ("client", "server"))
    entry = Entry(
        at=float(at or 0),
        session=_member(value, "session", int) or 0,
        sender=sender,
        message=value.get("message"),
        exchange=_member(value, "exchange", int),
        unreadable=_member(value, "unreadable", str),
        size=_member(value, "size", int),
        event=event,
    )
    if at is None or (event is None) == (sender is None):
        raise _Wrong('an entry needs "at", and either "from" or "event"')
    if sender is not None and not ({"message", "unreadable", "size"} & value.keys()):
        raise _Wrong('an entry with "from" needs "message", "unreadable" or "size"')
    return entry


def _member(value: dict[str, Any], name: str, *types: type) -> Any:
    found = value.get(name)
    if found is not None and type(found) not in types:
        raise _Wrong(f'"{name}" is of the wrong type')
    return found


def _choice(value: dict[str, Any], name: str, choices: Sequence[str]) -> Any:
    found = value.get(name)
    if found is not None and found not in choices:
        raise _Wrong(f'"{name}" is not one of {", ".join(choices)}')
    return found
