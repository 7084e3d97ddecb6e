"""The state of a server as text: lines for any terminal, tables for one with rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trimcp.observability.cleaning import printable
from trimcp.view.places import Watched

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST: Final = 20
"""Requests, sessions and tools that are shown, each."""

Row = tuple[str, ...]
REQUESTS: Final[Row] = ("age", "request", "session", "state", "progress")
WAITS: Final[Row] = ("for", "who", "waits for")
SESSIONS: Final[Row] = ("session", "client", "peer", "revision", "in flight", "wait", "refused")
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


def rows_of(watched: Watched) -> dict[str, tuple[Row, list[Row]]]:
    """Return the tables: their heads and rows, by title."""
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


def lines_of(watched: Watched) -> list[str]:
    """Return the whole state as lines."""
    lines = [head_of(watched)]
    for title, (head, rows) in rows_of(watched).items():
        lines += ["", title]
        if rows:
            widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
            lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
    return lines


def picture_of(watched: Watched) -> RenderableType:
    """Return the whole state for a terminal with rich."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [Text(head_of(watched), style="bold")]
    for title, (head, rows) in rows_of(watched).items():
        table = Table(title=title, title_justify="left", expand=True)
        for name in head:
            table.add_column(name)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        parts.append(table)
    return Group(*parts)
