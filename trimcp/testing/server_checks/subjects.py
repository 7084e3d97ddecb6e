"""The tools, resources, templates and prompts of a server, as things that are called with generated arguments.

Arguments of a tool come from its input schema. Those of prompts and templates are strings without a schema: they come
from the completion of the server, if it has one for them, or are made up.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.client.client import Client
from trimcp.errors import TrimcpError, UsageError
from trimcp.framing.uri_syntax import Expression, read_template
from trimcp.schema.validation import SchemaRefused, compile_schema
from trimcp.testing.server_checks.faults import Kind
from trimcp.testing.server_checks.lists import Lists
from trimcp.testing.server_checks.steps import Over, Steps
from trimcp.types.prompts import Prompt
from trimcp.types.resources import ResourceTemplate
from trimcp.types.tools import Tool

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Arguments = dict[str, Any]
Strategies = Mapping[str, "SearchStrategy[dict[str, Any]]"]
"""By the name of a tool or a prompt, or the text of a template."""
COMPLETED: Final = 20
"""The most values of one completion that are used."""


@attrs.frozen
class Subject:
    """One thing to check."""

    kind: Kind
    name: str
    values: SearchStrategy[Arguments]
    method: str
    params: Callable[[Arguments], Arguments]
    """Makes the params of a request."""
    call: Callable[[Client, Arguments], Awaitable[bool]]
    """Makes the request, and returns whether it was refused.

    Raises:
        TrimcpError: the answer was an error, or a result that is invalid.
    """
    may_refuse: bool = False
    """Whether an error is an answer: the arguments were made up."""


def subjects_of(
    steps: Steps, lists: Lists, given: Strategies, tools: Collection[str], skip: Collection[str]
) -> list[Subject]:
    """Return what is to be checked. A schema that is invalid is a fault.

    Args:
        steps: runs the requests for completions.
        lists: the definitions of the server.
        given: strategies that replace those that would be made.
        tools: names of tools beside those that only read.
        skip: names and URIs that are left out.

    Raises:
        UsageError: the server has nothing of a name.
    """
    wanted = {*tools, *given}
    names = {each.name for each in lists.tools} | {each.name for each in lists.prompts}
    names |= {each.uri for each in lists.resources} | {each.uri_template for each in lists.templates}
    unknown = sorted({*wanted, *skip} - names)
    if unknown and not steps.faults:
        raise UsageError(f"the server has no tool {unknown[0]!r}, nor prompt, resource or template: use a listed name")
    chosen = [each for each in lists.tools if each.name in wanted or _only_reads(each)]
    subjects = [_of_tool(each, given) for each in chosen if each.name not in skip and _has_schemas(steps, each)]
    subjects += [_of_resource(each.uri) for each in lists.resources if each.uri not in skip]
    templates = [each for each in lists.templates if each.uri_template not in skip]
    prompts = [each for each in lists.prompts if each.name not in skip]
    completions = _completions(steps, templates, prompts) if templates or prompts else {}
    subjects += [_of_template(each, given, completions[each.uri_template]) for each in templates]
    subjects += [_of_prompt(each, given, completions[each.name]) for each in prompts]
    return subjects


# --- tools ----------------------------------------------------------------------------


def _only_reads(tool: Tool) -> bool:
    return tool.annotations is not None and tool.annotations.read_only_hint is True


def _has_schemas(steps: Steps, tool: Tool) -> bool:
    """Return whether the schemas of a tool are valid."""
    before = len(steps.faults)
    for kind, schema in (("input", tool.input_schema), ("output", tool.output_schema)):
        if schema is not None:
            try:
                compile_schema(schema)
            except SchemaRefused as exc:
                steps.found("tool", tool.name, "schema", f"the {kind} schema is refused: {exc}")
    return len(steps.faults) == before


def _of_tool(tool: Tool, given: Strategies) -> Subject:
    from trimcp.testing.from_schema import values_of

    def params(arguments: Arguments) -> Arguments:
        return {"name": tool.name, "arguments": arguments}

    async def call(client: Client, arguments: Arguments) -> bool:
        result = await client.call_tool(tool.name, arguments, on_progress=_ignore)
        return result.is_error

    values = given[tool.name] if tool.name in given else values_of(tool.input_schema)
    return Subject("tool", tool.name, values, "tools/call", params, call)


def _ignore(progress: float, total: float | None, message: str | None) -> None:
    """Take a report of progress: a handler reports only to a caller that asks for it."""


# --- resources, templates, prompts ------------------------------------------------------


def _of_resource(uri: str) -> Subject:
    from hypothesis import strategies as st

    return _read("resource", uri, st.just({}), lambda _: uri)


def _of_template(template: ResourceTemplate, given: Strategies, completions: Mapping[str, list[str]]) -> Subject:
    text = template.uri_template
    values = given[text] if text in given else _strings(dict.fromkeys(_variables(text), True), completions)
    is_known = text in given or all(completions.get(name) for name in _variables(text))
    return _read("template", text, values, lambda arguments: expanded(text, arguments), may_refuse=not is_known)


def _read(
    kind: Kind, name: str, values: SearchStrategy[Arguments], uri: Callable[[Arguments], str], **more: bool
) -> Subject:
    def params(arguments: Arguments) -> Arguments:
        return {"uri": uri(arguments)}

    async def call(client: Client, arguments: Arguments) -> bool:
        await client.read_resource(uri(arguments), on_progress=_ignore)
        return False

    return Subject(kind, name, values, "resources/read", params, call, **more)


def _of_prompt(prompt: Prompt, given: Strategies, completions: Mapping[str, list[str]]) -> Subject:
    name = prompt.name

    def params(arguments: Arguments) -> Arguments:
        return {"name": name, "arguments": arguments}

    async def call(client: Client, arguments: Arguments) -> bool:
        await client.get_prompt(name, arguments, on_progress=_ignore)
        return False

    wanted = {each.name: each.required is True for each in prompt.arguments or ()}
    values = given[name] if name in given else _strings(wanted, completions)
    return Subject("prompt", name, values, "prompts/get", params, call, may_refuse=name not in given)


def _strings(names: Mapping[str, bool], completions: Mapping[str, list[str]]) -> SearchStrategy[Arguments]:
    """Return a strategy of strings by name; those that are not needed may be missing."""
    from hypothesis import strategies as st

    from trimcp.testing.from_schema import TEXT

    anything = st.text(TEXT, min_size=1, max_size=20) | st.integers(0, 1000).map(str)
    by_name = {name: st.sampled_from(completions[name]) if completions.get(name) else anything for name in names}
    needed = {name: values for name, values in by_name.items() if names[name]}
    return st.fixed_dictionaries(needed, optional={name: by_name[name] for name in names if name not in needed})


def _completions(
    steps: Steps, templates: list[ResourceTemplate], prompts: list[Prompt]
) -> dict[str, dict[str, list[str]]]:
    """Ask the server how each argument may begin; return the values by prompt or template, and argument."""
    found: dict[str, dict[str, list[str]]] = {}

    async def ask(over: Over) -> None:
        async with steps.connect() as client:
            for template in templates:
                text = template.uri_template
                found[text] = await _completed(steps, client, "template", text, _variables(text))
            for prompt in prompts:
                names = [each.name for each in prompt.arguments or ()]
                found[prompt.name] = await _completed(steps, client, "prompt", prompt.name, names)
            over()

    for each in templates:
        found[each.uri_template] = {}
    for prompt in prompts:
        found[prompt.name] = {}
    steps.run("list", "of completions", "list", ask)
    return found


async def _completed(
    steps: Steps, client: Client, kind: Kind, name: str, arguments: Collection[str]
) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    if client.server_capabilities.completions is None:
        return values
    for argument in arguments:
        try:
            with trio.fail_after(steps.timeout):
                completion = await client.complete(argument, **{kind: name})  # type: ignore[arg-type]
        except trio.TooSlowError:
            steps.found(kind, name, "call", f"the completion of {argument} has not come in {steps.timeout:g} seconds")
        except TrimcpError as exc:
            steps.found(kind, name, "call", f"the completion of {argument} fails: {exc}")
        else:
            values[argument] = completion.values[:COMPLETED]
    return values


# --- URI templates ----------------------------------------------------------------------


def _variables(template: str) -> list[str]:
    parts = read_template(template)
    return [variable.name for part in parts if isinstance(part, Expression) for variable in part.variables]


def expanded(template: str, values: Mapping[str, Any]) -> str:
    """Put values into a URI template (RFC 6570, section 3). A variable without a value is left out."""
    return "".join(part if isinstance(part, str) else _expanded(part, values) for part in read_template(template))


def _expanded(expression: Expression, values: Mapping[str, Any]) -> str:
    operator = expression.operator
    written: list[str] = []
    for variable in expression.variables:
        if variable.name in values:
            written += _written(expression, variable.name, values[variable.name], variable.prefix, variable.explode)
    return operator.first + operator.separator.join(written) if written else ""


def _written(expression: Expression, name: str, value: Any, prefix: int | None, explode: bool) -> Iterator[str]:
    operator = expression.operator
    safe = ":/?#[]@!$&'()*+,;=" if operator.reserved else ""
    items = value if isinstance(value, list) else [str(value)[:prefix]]
    encoded = [urllib.parse.quote(str(item), safe=safe) for item in items]
    for text in encoded if explode else [",".join(encoded)]:
        needs_sign = operator.named and (text or operator.sign != ";")
        yield f"{name}={text}" if needs_sign else name if operator.named else text
