"""`trimcp list TARGET`: what a server offers, with the arguments that its tools and prompts take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.cli import exits
from trimcp.cli.printing import BOLD, DIM, indented, print_json, show
from trimcp.cli.values import alternatives, did_you_mean, resolve, types_of
from trimcp.cli.visiting import Visit, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.codec.jsontext import dumps
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.tools import Tool

DESCRIPTION = "Show what a server offers: all of it, or only tools, prompts, resources or templates."

KINDS: Final = ("tools", "prompts", "resources", "templates")
DEEPEST: Final = 3
"""Arrays in arrays whose items are shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `list`."""
    configure_visit(parser, "[tools] [prompts] [resources] [templates] ", json="print all of it as one JSON object")


def command(options: argparse.Namespace) -> int:
    """Show it; return the exit code."""
    return visit(options, _list)


async def _list(here: Visit) -> int:
    for word in here.words:
        if word not in KINDS:
            raise UsageError(f"there is no list of {word}{did_you_mean(word, KINDS)}")
    found = await _found(here, here.words or KINDS)
    if here.options.json:
        print_json(_as_json(here, found))
        return exits.OK
    _show_server(here)
    draw: dict[str, Callable[[Any], None]] = {
        "tools": _show_tool,
        "prompts": _show_prompt,
        "resources": _show_resource,
        "templates": _show_template,
    }
    for kind, items in found.items():
        if items or kind in here.words:
            show()
            show(kind if items else f"no {kind}", BOLD)
            for item in items:
                draw[kind](item)
    if not any(found.values()) and not here.words:
        show("\nIt offers no tools, prompts or resources.")
    return exits.OK


async def _found(here: Visit, kinds: Any) -> dict[str, list[Any]]:
    """The lists that were asked for, in one order; of what the server does not have, an empty one."""
    client, can = here.client, here.client.server_capabilities
    readers: dict[str, tuple[object, Callable[[], Any]]] = {
        "tools": (can.tools, client.list_tools),
        "prompts": (can.prompts, client.list_prompts),
        "resources": (can.resources, client.list_resources),
        "templates": (can.resources, client.list_resource_templates),
    }
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS if kind in kinds}

    async def read(kind: str, reader: Callable[[], Any]) -> None:
        found[kind] = await reader()

    async with trio.open_nursery() as nursery:
        for kind in found:
            capability, reader = readers[kind]
            if capability is not None:
                nursery.start_soon(read, kind, reader)
    return found


def _as_json(here: Visit, found: Mapping[str, list[Any]]) -> dict[str, Any]:
    names = {"templates": "resourceTemplates"}
    info = here.client.server_info
    return {
        "server": None if info is None else here.wire(info),
        "protocolVersion": here.client.protocol_version,
        "instructions": here.client.instructions,
        **{names.get(kind, kind): [here.wire(item) for item in items] for kind, items in found.items()},
    }


# --- for people -----------------------------------------------------------------------


def _show_server(here: Visit) -> None:
    info = here.client.server_info
    name = "a server without a name" if info is None else f"{info.title or info.name} {info.version}"
    show(f"{name} ({here.client.protocol_version})", BOLD)
    for text in (info and info.description, here.client.instructions):
        if text:
            show(indented(text, "  "))


def _show_tool(tool: Tool) -> None:
    result = "" if tool.output_schema is None else f" → {_result_type(tool.output_schema)}"
    arguments = list(_arguments(tool.input_schema))
    show(f"  {tool.name}({', '.join(head for head, _, _ in arguments)}){result}")
    _show_more(tool.title, tool.description)
    _show_arguments({name: text for _, name, text in arguments if text})


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
        first, *others = text.strip().splitlines()
        show(f"      {name:<{width}}  {first}")
        for line in others:
            show(f"      {'':<{width}}  {line.strip()}")


def _arguments(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each argument as it stands in a signature, its name, and what is said of it."""
    properties = schema.get("properties")
    required = schema.get("required") or ()
    for name, given in properties.items() if isinstance(properties, Mapping) else ():
        inner = given if isinstance(given, Mapping) else {}
        kind = type_name(given, schema)
        if "default" in inner:
            head = f"{name}: {kind} = {dumps(inner['default']).decode()}"
        else:
            head = f"{name}{'' if name in required else '?'}: {kind}"
        text = inner.get("description") or resolve(inner, schema).get("description")
        yield head, name, text if isinstance(text, str) else ""


def type_name(schema: Any, root: Mapping[str, Any], depth: int = DEEPEST) -> str:
    """What a schema asks for, in a few words: `integer`, `"a" | "b"`, `string[]`."""
    names: list[str] = []
    for each in alternatives(schema, root):
        listed = each.get("enum", [each["const"]] if "const" in each else None)
        if isinstance(listed, list):
            names += [dumps(value).decode() for value in listed]
        else:
            names += [_with_items(kind, each, root, depth) for kind in types_of(each)] or ["any"]
    return " | ".join(dict.fromkeys(names))


def _with_items(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    if kind != "array" or not isinstance(schema.get("items"), Mapping) or depth == 0:
        return kind
    inner = type_name(schema["items"], root, depth - 1)
    return f"({inner})[]" if " | " in inner else f"{inner}[]"


def _result_type(schema: Mapping[str, Any]) -> str:
    """What a tool returns; a value that is no object travels under `result`."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and list(properties) == ["result"]:
        return type_name(properties["result"], schema)
    return type_name(schema, schema)
