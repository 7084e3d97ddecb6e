"""`trimcp list TARGET`: the features of a server, with the arguments that its tools and prompts take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.cli import exit_codes as exits
from trimcp.cli.arguments import alternatives, did_you_mean, resolve, types_of
from trimcp.cli.client_command import CommandRun, client_command
from trimcp.cli.terminal import BOLD, DIM, indented, print_json, show
from trimcp.codec.jsontext import dumps
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.tools import Tool

KINDS: Final = ("tools", "prompts", "resources", "templates")
DEEPEST: Final = 3
"""Levels of nested arrays and objects whose items and fields are shown."""
FIELDS: Final = 12
"""Fields of a nested object that are shown."""


async def _list(run: CommandRun) -> int:
    for word in run.words:
        if word not in KINDS:
            raise UsageError(f"there is no list of {word}{did_you_mean(word, KINDS)}")
    found = await found_lists(run, run.words or KINDS)
    if run.options.json:
        print_json(as_json(run, found))
        return exits.OK
    _show_server(run)
    draw: dict[str, Callable[[Any], None]] = {
        "tools": _show_tool,
        "prompts": _show_prompt,
        "resources": _show_resource,
        "templates": _show_template,
    }
    for kind, items in found.items():
        if items or kind in run.words:
            show()
            show(kind if items else f"no {kind}", BOLD)
            for item in items:
                draw[kind](item)
    if not any(found.values()) and not run.words:
        show("\nThe server offers no tools, prompts or resources.")
    return exits.OK


async def found_lists(run: CommandRun, kinds: Any) -> dict[str, list[Any]]:
    """Fetch the lists that were asked for; the list of a feature that the server lacks is empty."""
    client = run.client
    readers: dict[str, Callable[[], Any]] = {
        "tools": client.list_tools,
        "prompts": client.list_prompts,
        "resources": client.list_resources,
        "templates": client.list_resource_templates,
    }
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS if kind in kinds}

    async def read(kind: str, reader: Callable[[], Any]) -> None:
        found[kind] = await reader()

    async with trio.open_nursery() as nursery:
        for kind in found:
            nursery.start_soon(read, kind, readers[kind])
    return found


def as_json(run: CommandRun, found: Mapping[str, list[Any]], *, has_capabilities: bool = False) -> dict[str, Any]:
    """Return the server and its lists as one JSON object."""
    names = {"templates": "resourceTemplates"}
    info = run.client.server_info
    return {
        "server": None if info is None else run.wire(info),
        "protocolVersion": run.client.protocol_version,
        **({"capabilities": run.wire(run.client.server_capabilities)} if has_capabilities else {}),
        "instructions": run.client.instructions,
        **{names.get(kind, kind): [run.wire(item) for item in items] for kind, items in found.items()},
    }


# --- for people -----------------------------------------------------------------------


def _show_server(run: CommandRun) -> None:
    info = run.client.server_info
    name = "a server without a name" if info is None else f"{info.title or info.name} {info.version}"
    show(f"{name} ({run.client.protocol_version})", BOLD)
    for text in (info and info.description, run.client.instructions):
        if text:
            show(indented(text, "  "))


def _show_tool(tool: Tool) -> None:
    result = "" if tool.output_schema is None else f" → {_result_type(tool.output_schema)}"
    show(f"  {tool.name}({', '.join(_arguments(tool.input_schema))}){result}")
    _show_more(tool.title, tool.description)
    _show_arguments(dict(_described(tool.input_schema, tool.input_schema)))


def _show_prompt(prompt: Prompt) -> None:
    arguments = prompt.arguments or []
    names = ", ".join(f"{each.name}{'' if each.required else '?'}" for each in arguments)
    show(f"  {prompt.name}({names})")
    _show_more(prompt.title, prompt.description)
    _show_arguments({each.name: each.description for each in arguments if each.description})


def _show_resource(resource: Resource) -> None:
    size = None if resource.size is None else f"{resource.size:,} bytes"
    show("  " + "  ".join(filter(None, [resource.uri, resource.mime_type, size])))
    _show_more(resource.title or resource.name, resource.description)


def _show_template(template: ResourceTemplate) -> None:
    show("  " + "  ".join(filter(None, [template.uri_template, template.mime_type])))
    _show_more(template.title or template.name, template.description)


def _show_more(title: str | None, description: str | None) -> None:
    for text in (title, description):
        if text:
            show(indented(text, "      "), DIM)


def _show_arguments(texts: Mapping[str, str]) -> None:
    width = max(map(len, texts), default=0)
    for name, text in texts.items():
        first, *others = text.strip().splitlines() or [""]
        show(f"      {name:<{width}}  {first}")
        for line in others:
            show(f"      {'':<{width}}  {line.strip()}")


def _arguments(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield each argument as in a signature."""
    properties = schema.get("properties")
    required = schema.get("required") or ()
    for name, given in properties.items() if isinstance(properties, Mapping) else ():
        inner = given if isinstance(given, Mapping) else {}
        kind = type_name(given, schema)
        if "default" in inner:
            yield f"{name}: {kind} = {dumps(inner['default']).decode()}"
        else:
            yield f"{name}{'' if name in required else '?'}: {kind}"


def _described(
    schema: Mapping[str, Any], root: Mapping[str, Any], above: str = "", depth: int = DEEPEST
) -> Iterator[tuple[str, str]]:
    """Yield the descriptions of all fields of an object, nested ones too, by names such as `order.item`."""
    properties = schema.get("properties")
    fields = list(properties.items()) if isinstance(properties, Mapping) else []
    for name, inner in fields[: FIELDS if above else None]:
        text = _description(inner, root)
        if text:
            yield f"{above}{name}", text
        for each in alternatives(inner, root)[:FIELDS] if depth else ():
            parts = resolve(each["items"], root) if isinstance(each.get("items"), Mapping) else each
            yield from _described(parts, root, f"{above}{name}.", depth - 1)


def _description(schema: Any, root: Mapping[str, Any]) -> str:
    given = schema.get("description") if isinstance(schema, Mapping) else None
    text = given or resolve(schema, root).get("description")
    return text if isinstance(text, str) else ""


def type_name(schema: Any, root: Mapping[str, Any], depth: int = DEEPEST) -> str:
    """Describe the type of a schema in a few words: `integer`, `"a" | "b"`, `string[]`."""
    names: list[str] = []
    for each in alternatives(schema, root):
        listed = each.get("enum", [each["const"]] if "const" in each else None)
        if isinstance(listed, list):
            names += [dumps(value).decode() for value in listed]
        else:
            names += [_with_parts(kind, each, root, depth) for kind in types_of(each)] or ["any"]
    return " | ".join(dict.fromkeys(names))


def _with_parts(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    """Return the name of a type, with the items of an array or the fields of an object."""
    properties = schema.get("properties")
    if kind == "object" and isinstance(properties, Mapping) and properties and depth > 0:
        required = schema.get("required") or ()
        fields = [
            f"{name}{'' if name in required else '?'}: {type_name(inner, root, depth - 1)}"
            for name, inner in list(properties.items())[:FIELDS]
        ]
        if len(properties) > FIELDS:
            fields.append("…")
        return f"{{{', '.join(fields)}}}"
    if kind != "array" or not isinstance(schema.get("items"), Mapping) or depth == 0:
        return kind
    inner = type_name(schema["items"], root, depth - 1)
    is_union = " | " in inner and not (inner.startswith("{") and inner.endswith("}"))
    return f"({inner})[]" if is_union else f"{inner}[]"


def _result_type(schema: Mapping[str, Any]) -> str:
    """Describe the result type of a tool; trimcp servers put a value that is not an object under `result`."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and list(properties) == ["result"]:
        return type_name(properties["result"], schema)
    return type_name(schema, schema)


COMMANDS: Final = {
    "list": client_command(
        "Show what a server offers: all of it, or only tools, prompts, resources or templates.",
        "[tools] [prompts] [resources] [templates] ",
        _list,
        json="print everything as one JSON object",
        examples="""\
  trimcp list server.py
  trimcp list https://notes.example/mcp tools
  trimcp list -- npx some-server --its-option""",
    )
}
