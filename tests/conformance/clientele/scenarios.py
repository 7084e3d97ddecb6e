"""The scenarios without authorization, by name, and what each has a client do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from clientele import Visit

from trimcp.types.elicitation import ElicitRequestFormParams
from trimcp.types.sampling import CreateMessageRequestParams

PROBES = ("test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type")
"""Tools that the scenario of several rounds has called, in this order."""


async def look_around(visit: Visit) -> None:
    """See which tools there are."""
    async with visit.connected() as client:
        await client.list_tools()


async def add_numbers(visit: Visit) -> None:
    """Have two numbers added."""
    async with visit.connected() as client:
        await client.list_tools()
        await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def accept_defaults(visit: Visit) -> None:
    """Call a tool that asks the user, who leaves everything as it is proposed."""

    async def leave_it(form: ElicitRequestFormParams) -> dict[str, Any]:
        fields: dict[str, Any] = form.requested_schema["properties"]
        return {name: schema["default"] for name, schema in fields.items() if "default" in schema}

    async with visit.connected(elicitation=leave_it) as client:
        await client.list_tools()
        await client.call_tool("test_client_elicitation_defaults", {})


async def come_back(visit: Visit) -> None:
    """Call a tool whose answer comes after the connection was let go of."""
    async with visit.connected() as client:
        await client.list_tools()
        await client.call_tool("test_reconnection", {})


async def say_what_it_can(visit: Visit) -> None:
    """Make requests with all that a client may declare."""

    async def answer(form: ElicitRequestFormParams) -> None:
        return None

    async def think(request: CreateMessageRequestParams) -> str:
        return "nothing"

    async with visit.connected(elicitation=answer, sampling=think, roots=[]) as client:
        for tool in await client.list_tools():
            await client.call_tool(tool.name, {})


async def use_everything(visit: Visit) -> None:
    """Make a request of each kind that says in its head what it is about."""
    async with visit.connected() as client:
        for tool in await client.list_tools():
            await client.call_tool(tool.name, {})
        for resource in await client.list_resources():
            await client.read_resource(resource.uri)
        for prompt in await client.list_prompts():
            await client.get_prompt(prompt.name)


async def call_as_told(visit: Visit) -> None:
    """Make the calls that the suite lists."""
    async with visit.connected() as client:
        await client.list_tools()
        for call in visit.context["toolCalls"]:
            await client.call_tool(call["name"], call["arguments"])


async def call_what_is_offered(visit: Visit) -> None:
    """Call every tool that can be called."""
    async with visit.connected() as client:
        for tool in await client.list_tools():
            await client.call_tool(tool.name, {"region": "us-west1"})


async def answer_in_rounds(visit: Visit) -> None:
    """Call tools that ask back before they answer."""

    async def confirm(form: ElicitRequestFormParams) -> dict[str, Any]:
        return {"confirmed": True}

    async with visit.connected(elicitation=confirm) as client:
        await client.list_tools()
        for name in PROBES:
            await client.call_tool(name, {})


async def echo_schema(visit: Visit) -> None:
    """Send the schema of a tool back as it came."""
    async with visit.connected() as client:
        schemas = {tool.name: tool.input_schema for tool in await client.list_tools()}
        await client.call_tool("json_schema_echo", {"schema": schemas["json_schema_2020_12_tool"]})


SCENARIOS: dict[str, Callable[[Visit], Awaitable[None]]] = {
    "initialize": look_around,
    "tools_call": add_numbers,
    "elicitation-sep1034-client-defaults": accept_defaults,
    "sse-retry": come_back,
    "request-metadata": say_what_it_can,
    "http-standard-headers": use_everything,
    "http-custom-headers": call_as_told,
    "http-invalid-tool-headers": call_what_is_offered,
    "sep-2322-client-request-state": answer_in_rounds,
    "json-schema-ref-no-deref": look_around,
    "json-schema-2020-12-preservation": echo_schema,
}
"""What to do in each scenario."""
