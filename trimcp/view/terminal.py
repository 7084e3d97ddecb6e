"""The state of a server as text: lines for any terminal, tables for one with rich."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from trimcp.observability.cleaning import printable
from trimcp.view.places import Watched

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST: Final = 20
"""Rows of a table that are shown."""
CARRIED: Final[Mapping[str, str]] = {"here": "open", "no": "lost, can be resumed"}

View = Literal["requests", "streams", "logs"]
VIEWS: Final[tuple[View, ...]] = ("requests", "streams", "logs")
KEYS: Final[Mapping[str, View]] = {view[0]: view for view in VIEWS}
"""The keys that switch to the views."""

Row = tuple[str, ...]
REQUESTS: Final[Row] = ("age", "request", "session", "state", "progress")
WAITS: Final[Row] = ("for", "who", "waits for")
SESSIONS: Final[Row] = ("session", "client", "peer", "revision", "in flight", "wait", "refused")
STREAMS: Final[Row] = ("stream", "session", "client", "connection", "last event", "owes answers to", "wait")
LISTENS: Final[Row] = ("open for", "session", "listen", "watches")
RESOURCES: Final[Row] = ("sessions", "resource")
LOGS: Final[Row] = ("time", "level", "source", "session", "request", "line")
TOOLS: Final[Row] = ("calls", "errors", "p50 ms", "p95 ms", "p99 ms", "method and name")


def head_of(watched: Watched) -> str:
    """Return the line about the server."""
    server: dict[str, Any] = watched.sections.get("server", {})
    runs = watched.named("run:")
    running, places = (sum(run[key] for run in runs) for key in ("running", "places"))
    drains = "  draining" if any(run["draining"] for run in runs) else ""
    return printable(
        f"{server.get('name')} {server.get('version')}  process {server.get('pid')}  "
        f"{running} of {places} places  {sum(run['sessions'] for run in runs)} sessions  "
        f"{server.get('refused')} refused{drains}"
    )


def rows_of(watched: Watched, view: View = "requests") -> dict[str, tuple[Row, list[Row]]]:
    """Return the tables of a view: their heads and rows, by title."""
    return {"requests": _requests, "streams": _streams, "logs": _logs}[view](watched)


def _requests(watched: Watched) -> dict[str, tuple[Row, list[Row]]]:
    sessions = watched.named("session:")
    flying = [(request, session) for session in sessions for request in session["requests"]]
    flying.sort(key=lambda pair: pair[0]["began"])
    waits: list[dict[str, Any]] = watched.sections.get("waits", {}).get("waits", [])
    tools = sorted(watched.named("tool:"), key=lambda tool: -tool["count"])
    requests = [_request(watched.now, request, session) for request, session in flying[:MOST]]
    return {
        f"Requests in flight: {len(flying)}": (REQUESTS, requests),
        f"Waits: {len(waits)}": (WAITS, [_wait(watched.now, wait) for wait in waits[:MOST]]),
        f"Clients: {len(sessions)}": (SESSIONS, [_session(session) for session in sessions[:MOST]]),
        f"Tools and methods: {len(tools)}": (TOOLS, [_tool(tool) for tool in tools[:MOST]]),
    }


def _streams(watched: Watched) -> dict[str, tuple[Row, list[Row]]]:
    sections = watched.named("streams:")
    streams = [(stream, section) for section in sections for stream in section["streams"]]
    listens = [listen for section in watched.named("watched:") for listen in section["listens"]]
    uris = [uri for section in watched.named("watched:") for uri in section["uris"]]
    count = len(streams) + sum(section["more"] for section in sections)
    opened, resources = (
        sum(section[key] for section in watched.named("watched:")) for key in ("listens_open", "uris_watched")
    )
    return {
        f"Event streams: {count}": (STREAMS, [_stream(watched.now, *each) for each in streams[:MOST]]),
        f"Listens: {opened}": (LISTENS, [_listen(watched.now, listen) for listen in listens[:MOST]]),
        f"Resources that are watched: {resources}": (RESOURCES, [_resource(uri) for uri in uris[:MOST]]),
    }


def _stream(now: float, stream: dict[str, Any], section: dict[str, Any]) -> Row:
    carried: str = stream["carried"]
    connection = CARRIED.get(carried, carried)
    if stream["detached"] is not None:
        connection += f" for {max(0.0, now - stream['detached']):.1f} s"
    return (
        f"{stream['kind']} {stream['number']}",
        str(section["session"]),
        section["client"] or "unnamed",
        connection,
        str(stream["sent"]),
        ", ".join(stream["owed"]),
        f"{stream['waiting']} ({stream['bytes']} bytes)",
    )


def _listen(now: float, listen: dict[str, Any]) -> Row:
    watches = [*(f"list of {name}" for name in listen["lists"]), *listen["uris"], *listen["topics"]]
    more = f" and {listen['more']} more" if listen["more"] else ""
    granted = "" if listen["granted"] else "not granted yet: "
    since = f"{max(0.0, now - listen['since']):.1f} s"
    return (since, str(listen["session"]), f"id {listen['id']}", f"{granted}{', '.join(watches)}{more}")


def _resource(uri: dict[str, Any]) -> Row:
    more = f" and {uri['more']} more" if uri["more"] else ""
    return (", ".join(map(str, uri["sessions"])) + more, uri["uri"])


def _logs(watched: Watched) -> dict[str, tuple[Row, list[Row]]]:
    return {"Logs": (LOGS, [_line(line) for line in [*watched.lines][-MOST:]])}


def _line(line: dict[str, Any]) -> Row:
    keys = "".join(f"  {key}={value}" for key, value in line["keys"].items())
    at = time.strftime("%H:%M:%S", time.localtime(line["at"]))
    session, request = ("" if line[key] is None else str(line[key]) for key in ("session", "request"))
    return (at, line["level"], line["logger"] or line["source"], session, request, line["text"] + keys)


def _request(now: float, request: dict[str, Any], session: dict[str, Any]) -> Row:
    progress = ""
    if request["progress"] is not None:
        done, total, message = request["progress"]
        progress = f"{done:g}{'' if total is None else f' of {total:g}'}{f', {message}' if message else ''}"
    name = f"{request['method']} {request['name'] or ''}".rstrip()
    return (f"{max(0.0, now - request['began']):.1f} s", name, str(session["number"]), request["state"], progress)


def _wait(now: float, wait: dict[str, Any]) -> Row:
    since = "" if wait["since"] is None else f"{max(0.0, now - wait['since']):.1f} s"
    return (since, wait["who"], wait["waits_for"])


def stack_lines(stacks: dict[str, Any]) -> list[str]:
    """Return the stacks of all tasks and threads as lines, the outermost function first."""
    lines: list[str] = []
    for kind in ("task", "thread"):
        for stack in stacks[f"{kind}s"]:
            works = "" if stack.get("request") is None else f"  request {stack['request']} {stack['title']}"
            lines.append(f"{kind} {stack['name']}{works}")
            lines += [
                f"    {each['file']}:{each['line']} {each['function']}: {each['code']}" for each in stack["frames"]
            ]
    return [*lines, *([f"{stacks['more']} more tasks"] if stacks["more"] else ())]


def _session(session: dict[str, Any]) -> Row:
    return (
        f"{session['kind']} {session['number']}",
        session["client"] or "unnamed",
        session["peer"] or "",
        session["revision"] or "each request",
        str(len(session["requests"]) + session["more"]),
        str(session["waiting"]),
        str(session["refused"]),
    )


def _tool(tool: dict[str, Any]) -> Row:
    figures = (f"{tool[key]:g}" for key in ("count", "errors", "p50", "p95", "p99"))
    return (*figures, f"{tool['method']} {tool['name']}".rstrip())


def lines_of(watched: Watched, view: View = "requests") -> list[str]:
    """Return a view as lines."""
    lines = [head_of(watched)]
    for title, (head, rows) in rows_of(watched, view).items():
        lines += ["", title]
        if rows:
            widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
            lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
    return lines


def picture_of(watched: Watched, view: View = "requests", height: int = MOST) -> RenderableType:
    """Return a view for a terminal with rich. Of logs the newest lines are above, as long as they are.

    Args:
        watched: the state.
        view: which one.
        height: lines of the terminal. Where a view has more, each of its tables gets a share.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    keys = Text("  ".join([*(f"{key} {name}" for key, name in KEYS.items()), "q quit"]), style="dim")
    parts: list[RenderableType] = [Text(head_of(watched), style="bold", no_wrap=True, overflow="ellipsis"), keys]
    tables = rows_of(watched, view)
    is_cut = view != "logs"
    shares = shared([len(rows) for _, rows in tables.values()], height - len(parts)) if is_cut else [MOST]
    for (title, (head, rows)), share in zip(tables.items(), shares, strict=True):
        parts.append(Text(title, style="italic"))
        if not rows:
            continue
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in head:
            table.add_column(Text(name, no_wrap=True, overflow="ellipsis"))
        for row in rows[:share] if is_cut else reversed(rows):
            table.add_row(
                *(Text(printable(cell), no_wrap=is_cut, overflow="ellipsis" if is_cut else "fold") for cell in row)
            )
        parts.append(table)
    return Group(*parts)


def shared(counts: list[int], lines: int) -> list[int]:
    """Return how many rows of each table fit into these lines: small tables are whole, the others get equal shares.

    Args:
        counts: rows of the tables. Each table has a line with its title, and one with its head if it has rows.
        lines: of all of them.
    """
    room = max(0, lines - len(counts) - sum(count > 0 for count in counts))
    shares = [0] * len(counts)
    for done, at in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        shares[at] = min(counts[at], room // (len(counts) - done))
        room -= shares[at]
    return shares
