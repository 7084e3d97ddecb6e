"""`trimcp inspect TARGET`: all that a server says of itself and offers, as Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import CommandRun, client_command
from trimcp.cli.list_command import KINDS, as_json, found_lists, type_name
from trimcp.cli.terminal import print_json, show
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.types.prompts import Prompt
    from trimcp.types.tools import Tool

HINTS: Final[dict[str, tuple[str, str | None]]] = {
    "readOnlyHint": ("reads only", "may change things"),
    "destructiveHint": ("may destroy", "destroys nothing"),
    "idempotentHint": ("may be repeated", None),
    "openWorldHint": ("reaches other systems", "reaches no other system"),
}
"""Annotations of a tool in words: for true, and for false."""


async def _inspect(run: CommandRun) -> int:
    if run.words:
        raise UsageError(f"inspect takes only a TARGET: remove {run.words[0]}")
    found = await found_lists(run, KINDS)
    if run.options.json:
        print_json(as_json(run, found, has_capabilities=True))
    else:
        show("\n".join(_markdown(run, found)))
    return exits.OK


# --- Markdown -------------------------------------------------------------------------


def _markdown(run: CommandRun, found: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    client, info = run.client, run.client.server_info
    yield f"# {_line(run.server_name if info is None else info.title or info.name)}"
    yield ""
    if info is not None and info.description:
        yield from (_line(info.description), "")
    yield f"- Server: {_line(run.server_name)}"
    yield f"- Revision: {client.protocol_version}"
    yield f"- Capabilities: {', '.join(_capabilities(run.wire(client.server_capabilities))) or 'none'}"
    if client.instructions:
        yield from ("", "## Instructions", "", client.instructions.strip())
    parts: dict[str, Callable[[CommandRun, Any], Iterator[str]]] = {
        "tools": _tool,
        "prompts": _prompt,
        "resources": _resource,
        "templates": _template,
    }
    for kind, items in found.items():
        if items:
            yield from ("", f"## {'Resource templates' if kind == 'templates' else kind.capitalize()}")
            for item in items:
                yield ""
                yield from parts[kind](run, item)


def _capabilities(declared: Mapping[str, Any]) -> Iterator[str]:
    for name, value in declared.items():
        inner = [key for key, each in value.items() if each is True] if isinstance(value, dict) else []
        yield f"{name} ({', '.join(inner)})" if inner else name


def _tool(run: CommandRun, tool: Tool) -> Iterator[str]:
    yield f"### `{tool.name}`"
    yield from _texts(tool.title, tool.description)
    hints = run.wire(tool).get("annotations") or {}
    words = [HINTS[name][not value] for name, value in hints.items() if name in HINTS and isinstance(value, bool)]
    if any(words):
        yield from ("", f"The server says that it {', '.join(word for word in words if word)}.")
    yield from _fields("Argument", tool.input_schema)
    if tool.output_schema is not None:
        yield from _fields("Result", tool.output_schema)


def _fields(title: str, schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return
    required = schema.get("required") or ()
    yield from ("", f"| {title} | Type | Required | Default | Description |", "| --- | --- | --- | --- | --- |")
    for name, field in properties.items():
        inner = field if isinstance(field, Mapping) else {}
        default = f"`{json.dumps(inner['default'], ensure_ascii=False)}`" if "default" in inner else ""
        kind = f"`{type_name(field, schema)}`"
        cells = [f"`{name}`", kind, "yes" if name in required else "", default, inner.get("description") or ""]
        yield f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _prompt(run: CommandRun, prompt: Prompt) -> Iterator[str]:
    yield f"### `{prompt.name}`"
    yield from _texts(prompt.title, prompt.description)
    if prompt.arguments:
        yield from ("", "| Argument | Required | Description |", "| --- | --- | --- |")
        for each in prompt.arguments:
            yield f"| `{_cell(each.name)}` | {'yes' if each.required else ''} | {_cell(each.description or '')} |"


def _resource(run: CommandRun, resource: Any) -> Iterator[str]:
    yield f"### `{resource.uri}`"
    yield from _texts(resource.title or resource.name, resource.description)
    size = None if resource.size is None else f"{resource.size:,} bytes"
    facts = ", ".join(filter(None, [resource.mime_type, size]))
    if facts:
        yield from ("", facts)


def _template(run: CommandRun, template: Any) -> Iterator[str]:
    yield f"### `{template.uri_template}`"
    yield from _texts(template.title or template.name, template.description)
    if template.mime_type:
        yield from ("", template.mime_type)


def _texts(title: str | None, description: str | None) -> Iterator[str]:
    for text in (title and f"**{_line(title)}**", description and description.strip()):
        if text:
            yield from ("", text)


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


COMMANDS: Final = {
    "inspect": client_command(
        "Describe a server: its capabilities, its instructions and all that it offers, as Markdown.",
        "",
        _inspect,
        json="print the description as one JSON object",
        examples="""\
  trimcp inspect server.py > server.md
  trimcp inspect https://notes.example/mcp --json | jq '.tools[].name'
  trimcp inspect -- npx some-server""",
    )
}
