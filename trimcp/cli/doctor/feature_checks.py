"""Checks of tools, resources, prompts, completion, logging and pagination, as far as they change nothing.

No tool is called but one that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from trimcp.cli.doctor.examination import TEMPLATES, UNKNOWN, Examination, Failed, NotApplicable, Rules
from trimcp.cli.doctor.lifecycle_checks import well_formed
from trimcp.cli.doctor.wire import DuplexWire
from trimcp.client.listing import LISTS as ALL_LISTS
from trimcp.errors import UsageError
from trimcp.schema.header_params import invalid_annotations
from trimcp.schema.validation import SchemaRefused, compile_schema
from trimcp.types.revisions import Era

CHECKS: Final = Rules()
TOOLS, RESOURCES, PROMPTS = "server/tools", "server/resources", "server/prompts"
PAGINATION, COMPLETION = "server/utilities/pagination", "server/utilities/completion"
LISTS: Final = {method: listed for method, listed in ALL_LISTS.items() if listed.feature != "tasks"}
TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
NO_URI: Final = "doctor://no/such/resource"


# --- capabilities against behaviour -------------------------------------------------------


async def _declared(examination: Examination, capability: str, method: str, params: Mapping[str, Any]) -> None:
    """Check that a method works if its capability is declared, and is unknown otherwise."""
    if capability in examination.capabilities:
        well_formed(examination, method, await examination.result(method, params))
    else:
        answer = await examination.ask(method, params)
        if answer.result is not None:
            raise Failed(f"{capability} is not declared, and {method} works")
        if answer.code != -32601:
            raise Failed(f"{capability} is not declared: expected -32601 for {method}, found {answer}")


@CHECKS.rule(TOOLS, "tools/list works exactly if tools are declared")
async def tools_as_declared(examination: Examination) -> None:
    await _declared(examination, "tools", "tools/list", {})


@CHECKS.rule(RESOURCES, "resources/list works exactly if resources are declared")
async def resources_as_declared(examination: Examination) -> None:
    await _declared(examination, "resources", "resources/list", {})


@CHECKS.rule(PROMPTS, "prompts/list works exactly if prompts are declared")
async def prompts_as_declared(examination: Examination) -> None:
    await _declared(examination, "prompts", "prompts/list", {})


@CHECKS.rule("server/utilities/logging", "logging/setLevel works exactly if logging is declared", era=Era.LEGACY)
async def logging_as_declared(examination: Examination) -> None:
    await _declared(examination, "logging", "logging/setLevel", {"level": "warning"})


@CHECKS.rule("server/utilities/logging", "an unknown level is refused with -32602", must=False, era=Era.LEGACY)
async def unknown_levels_are_refused(examination: Examination) -> None:
    examination.needs("logging")
    await examination.refused("logging/setLevel", {"level": "loud"}, [-32602])


# --- pages ------------------------------------------------------------------------------


@CHECKS.rule(PAGINATION, "the pages of each list come to an end, and have each item once")
async def pages_end(examination: Examination) -> None:
    looked = False
    for method, listed in LISTS.items():
        if listed.feature in examination.capabilities:
            items, looked = await examination.items(method, listed.wire), True
            names = [item.get(listed.key) for item in items]
            twice = {str(name) for name in names if names.count(name) > 1}
            if twice:
                raise Failed(f"{method} has {', '.join(sorted(twice))} twice")
    if not looked:
        raise NotApplicable("the server has no lists")


@CHECKS.rule(PAGINATION, "an invalid cursor is refused with -32602", must=False)
async def invalid_cursors_are_refused(examination: Examination) -> None:
    methods = [method for method, listed in LISTS.items() if listed.feature in examination.capabilities]
    if not methods:
        raise NotApplicable("the server has no lists")
    for method in methods[:1]:
        await examination.refused(method, {"cursor": "no cursor of yours"}, [-32602])


@CHECKS.rule("server/utilities/caching", "lists and discovery have ttlMs from 0 on, and a cacheScope", era=Era.MODERN)
async def lists_have_hints(examination: Examination) -> None:
    results = {"server/discover": examination.server}
    for method, listed in LISTS.items():
        if listed.feature in examination.capabilities:
            results[method] = await examination.page(method)
    for method, result in results.items():
        ttl, scope = result.get("ttlMs"), result.get("cacheScope")
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or ttl < 0:
            raise Failed(f"{method} has ttlMs {ttl!r}")
        if scope not in ("public", "private"):
            raise Failed(f"{method} has cacheScope {scope!r}")


# --- tools ------------------------------------------------------------------------------


async def _tools(examination: Examination) -> list[Mapping[str, Any]]:
    examination.needs("tools")
    tools = await examination.items("tools/list", "tools")
    if not tools:
        raise NotApplicable("the server has no tools")
    return tools


@CHECKS.rule(TOOLS, "the schemas of tools are valid, and describe objects")
async def schemas_are_valid(examination: Examination) -> None:
    for tool in await _tools(examination):
        for member in ("inputSchema", "outputSchema"):
            if member == "inputSchema" or member in tool:
                _check_schema(examination, f"{member} of {tool.get('name')}", tool.get(member))


def _check_schema(examination: Examination, where: str, schema: Any) -> None:
    if not isinstance(schema, dict):
        raise Failed(f"{where} is not an object")
    is_free = where.startswith("outputSchema") and examination.revision.structured_any
    if schema.get("type") != "object" and not is_free:
        raise Failed(f'{where} has the type {schema.get("type")!r}, not "object"')
    try:
        compile_schema(schema)
    except (UsageError, SchemaRefused, ValueError) as exc:
        raise Failed(f"{where}: {exc}") from None


@CHECKS.rule(TOOLS, "names of tools have 1 to 128 of A-Z a-z 0-9 _ - .", must=False)
async def tool_names_are_plain(examination: Examination) -> None:
    _all(TOOL_NAME, (tool.get("name") for tool in await _tools(examination)))


def _all(pattern: re.Pattern[str], names: Iterable[Any]) -> None:
    bad = [repr(name) for name in names if not isinstance(name, str) or not pattern.fullmatch(name)]
    if bad:
        raise Failed(f"there is {', '.join(bad[:5])}")


@CHECKS.rule(TOOLS, "tools are listed in the same order each time", must=False)
async def the_order_is_stable(examination: Examination) -> None:
    await _tools(examination)
    first, second = await examination.result("tools/list"), await examination.result("tools/list")
    orders = [
        [tool.get("name") for tool in page.get("tools", ()) if isinstance(tool, dict)] for page in (first, second)
    ]
    if orders[0] != orders[1]:
        raise Failed("two lists have another order")


@CHECKS.rule(TOOLS, "x-mcp-header is only where it may be", era=Era.MODERN)
async def header_annotations_are_valid(examination: Examination) -> None:
    for tool in await _tools(examination):
        problems = invalid_annotations(tool.get("inputSchema"))
        if problems:
            raise Failed(f"{tool.get('name')}: {problems[0]}")


@CHECKS.rule(TOOLS, "a call without a name is refused")
async def a_name_is_required(examination: Examination) -> None:
    examination.needs("tools")
    answer = await examination.ask("tools/call", {"arguments": {}})
    if answer.code is None:
        raise Failed(f"it was answered by {answer}")


@CHECKS.rule(TOOLS, "a call without a name is refused with -32602", must=False)
async def a_missing_name_has_its_code(examination: Examination) -> None:
    examination.needs("tools")
    # Over HTTP the missing header field is the first thing that is wrong.
    codes = [-32602, -32020] if examination.era is Era.MODERN and examination.wire.is_http else [-32602]
    await examination.refused("tools/call", {"arguments": {}}, codes)


@CHECKS.rule(TOOLS, "a call of an unknown tool is refused with -32602", must=False)
async def unknown_tools_are_refused(examination: Examination) -> None:
    examination.needs("tools")
    await examination.refused("tools/call", {"name": UNKNOWN, "arguments": {}}, [-32602])


# --- resources --------------------------------------------------------------------------


@CHECKS.rule(RESOURCES, "an unknown resource is refused with -32602", era=Era.MODERN)
@CHECKS.rule(RESOURCES, "an unknown resource is refused with -32002", must=False, era=Era.LEGACY)
async def unknown_resources_are_refused(examination: Examination) -> None:
    examination.needs("resources")
    await examination.refused("resources/read", {"uri": NO_URI}, [examination.revision.resource_not_found])


@CHECKS.rule(RESOURCES, "a listed resource can be read, and has text or base64")
async def resources_can_be_read(examination: Examination) -> None:
    examination.needs("resources")
    resources = await examination.items("resources/list", "resources")
    if not resources:
        raise NotApplicable("the server lists no resources")
    result = await examination.result("resources/read", {"uri": resources[0].get("uri")})
    well_formed(examination, "resources/read", result)


@CHECKS.rule(RESOURCES, "templates are listed in the form of the revision")
async def templates_are_well_formed(examination: Examination) -> None:
    examination.needs("resources")
    answer = await examination.ask(TEMPLATES)
    if answer.code == -32601:
        raise NotApplicable("the server has no templates")
    well_formed(examination, TEMPLATES, answer.result)


@CHECKS.rule(RESOURCES, "a resource can be subscribed to, if that is declared", era=Era.LEGACY)
async def resources_can_be_subscribed_to(examination: Examination) -> None:
    declared = examination.capabilities.get("resources")
    if not isinstance(declared, dict) or not declared.get("subscribe"):
        raise NotApplicable("the server has not declared resources.subscribe")
    resources = await examination.items("resources/list", "resources")
    if not resources:
        raise NotApplicable("the server lists no resources")
    params = {"uri": resources[0].get("uri")}
    await examination.result("resources/subscribe", params)
    await examination.result("resources/unsubscribe", params)


@CHECKS.rule(RESOURCES, "URIs have a scheme")
async def uris_have_a_scheme(examination: Examination) -> None:
    examination.needs("resources")
    resources = await examination.items("resources/list", "resources")
    _all(re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.*", re.DOTALL), (resource.get("uri") for resource in resources))


# --- prompts and completion -------------------------------------------------------------


@CHECKS.rule(PROMPTS, "an unknown prompt is refused with -32602", must=False)
async def unknown_prompts_are_refused(examination: Examination) -> None:
    examination.needs("prompts")
    await examination.refused("prompts/get", {"name": UNKNOWN}, [-32602])


@CHECKS.rule(COMPLETION, "a completion has at most 100 values")
async def completions_are_short(examination: Examination) -> None:
    examination.needs("completions")
    prompts = await examination.items("prompts/list", "prompts") if "prompts" in examination.capabilities else []
    named = [(prompt["name"], each["name"]) for prompt in prompts for each in prompt.get("arguments") or ()]
    if not named:
        raise NotApplicable("no prompt has arguments")
    params = {"ref": {"type": "ref/prompt", "name": named[0][0]}, "argument": {"name": named[0][1], "value": ""}}
    result = await examination.result("completion/complete", params)
    well_formed(examination, "completion/complete", result)
    if len(result["completion"]["values"]) > 100:
        raise Failed(f"there are {len(result['completion']['values'])}")


@CHECKS.rule(COMPLETION, "a completion for an unknown prompt is refused with -32602", must=False)
async def unknown_references_are_refused(examination: Examination) -> None:
    examination.needs("completions")
    params = {"ref": {"type": "ref/prompt", "name": UNKNOWN}, "argument": {"name": "a", "value": ""}}
    await examination.refused("completion/complete", params, [-32602])


# --- subscriptions ----------------------------------------------------------------------


@CHECKS.rule("basic/patterns/subscriptions", "a listen is acknowledged first, under its id", era=Era.MODERN)
async def listens_are_acknowledged(examination: Examination) -> None:
    topics = {"toolsListChanged": "tools", "promptsListChanged": "prompts", "resourcesListChanged": "resources"}
    declared = [
        topic
        for topic, name in topics.items()
        if isinstance(each := examination.capabilities.get(name), dict) and each.get("listChanged")
    ]
    if not declared:
        raise NotApplicable("the server declares no changes of lists")
    wire = examination.wire
    message = examination.message("subscriptions/listen", {"notifications": dict.fromkeys(declared, True)})
    first = await wire.first(message)
    if isinstance(wire, DuplexWire):
        await wire.tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": message["id"]}})
    if first is None or first.get("method") != "notifications/subscriptions/acknowledged":
        raise Failed(f"the first message was {first}")
    meta = (first.get("params") or {}).get("_meta") or {}
    if meta.get("io.modelcontextprotocol/subscriptionId") != message["id"]:
        raise Failed(f"_meta is {meta}, without the id {message['id']}")
