"""Tools that ask the client. Each is one function for every revision that has what it asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import attrs
from everything.app import server

import trimcp


@dataclass
class Account:
    username: str
    email: str


@dataclass
class Name:
    name: str


@dataclass
class Colour:
    color: str


@dataclass
class Confirmation:
    ok: bool


@dataclass
class Profile:
    """A form whose fields all have a default."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def _options(kind: str, *names: str) -> list[dict[str, str]]:
    return [{"const": f"value{number}", "title": f"{name} {kind}"} for number, name in enumerate(names, 1)]


ENUMS: Final = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": _options("Option", "First", "Second", "Third")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": _options("Choice", "First", "Second", "Third")}},
    },
}
"""Every way to offer a choice: no class says all of them, so the schema is written by hand."""


def _described(answer: trimcp.Elicited[Any]) -> str:
    """Action and content, as the suite wants them."""
    data = answer.data if isinstance(answer.data, dict) or answer.data is None else vars(answer.data)
    return f"action={answer.action}, content={json.dumps(data)}"


@server.tool
async def test_sampling(prompt: str, ctx: trimcp.Context) -> Any:
    """Have the client's model say something."""
    said = await ctx.sample(prompt, max_tokens=100)
    return f"LLM response: {said.text}"


@server.tool
async def test_elicitation(message: str, ctx: trimcp.Context) -> Any:
    """Have the user fill in a form."""
    return f"User response: {_described(await ctx.elicit(message, Account))}"


@server.tool
async def test_elicitation_sep1034_defaults(ctx: trimcp.Context) -> Any:
    """Have the user fill in a form with defaults."""
    answer = await ctx.elicit("Please review and update the form fields with defaults", Profile)
    return f"Elicitation completed: {_described(answer)}"


@server.tool
async def test_elicitation_sep1330_enums(ctx: trimcp.Context) -> Any:
    """Have the user choose, in every way there is."""
    answer = await ctx.elicit("Please select options from the enum fields", ENUMS)
    return f"Elicitation completed: {_described(answer)}"


@server.tool
async def test_url_elicitation(ctx: trimcp.Context) -> Any:
    """Have the user visit a page."""
    answer = await ctx.elicit_url("Please sign in", "https://example.com/sign-in", id="sign-in-1")
    return f"The user's answer: {answer.action}"


@server.tool
async def test_roots(ctx: trimcp.Context) -> Any:
    """Ask for the client's folders."""
    return "Roots: " + ", ".join(root.uri for root in await ctx.roots())


# --- what only 2026-07-28 is tested with ----------------------------------------------------


@server.tool(requires=["sampling"])
async def test_missing_capability() -> Any:
    """Need a client that can sample."""
    return "The client can sample"


@server.tool
async def test_streaming_elicitation(ctx: trimcp.Context) -> Any:
    """Have the user confirm."""
    return _described(await ctx.elicit("Please confirm", Confirmation))


@server.tool
async def test_input_required_result_elicitation(ctx: trimcp.Context) -> Any:
    """Greet the user by name."""
    answer = await ctx.elicit("What is your name?", Name, key="user_name")
    return f"Hello, {answer.data.name}!" if answer.data else "Hello, stranger!"


@server.tool
async def test_input_required_result_sampling(ctx: trimcp.Context) -> Any:
    """Ask the client's model."""
    said = await ctx.sample("What is the capital of France?", max_tokens=100, key="capital_question")
    return said.text


@server.tool
async def test_input_required_result_list_roots(ctx: trimcp.Context) -> Any:
    """Ask for the client's folders, under a key."""
    return "\n".join(f"{root.name or 'a root'}: {root.uri}" for root in await ctx.roots(key="client_roots"))


@server.tool
async def test_input_required_result_request_state(ctx: trimcp.Context) -> Any:
    """Keep something with the client between two rounds."""
    kept = await ctx.once("kept", lambda: "state-ok")
    answer = await ctx.elicit("Please confirm", Confirmation, key="confirm")
    return f"{kept}, {answer.action}"


@server.tool
async def test_input_required_result_multiple_inputs(ctx: trimcp.Context) -> Any:
    """Ask three things at once."""
    answers = await ctx.ask(
        user_name=trimcp.Elicit("What is your name?", Name),
        greeting=trimcp.Sample("Generate a greeting", max_tokens=50),
        client_roots=trimcp.Roots(),
    )
    who = answers["user_name"].data
    return f"{answers['greeting'].text} {who.name if who else 'stranger'}, {len(answers['client_roots'])} roots"


@server.tool
async def test_input_required_result_multi_round(ctx: trimcp.Context) -> Any:
    """Ask two things, one after the other."""
    name = await ctx.elicit("Step 1: What is your name?", Name, key="step1")
    colour = await ctx.elicit("Step 2: What is your favorite color?", Colour, key="step2")
    return f"{name.data and name.data.name} likes {colour.data and colour.data.color}"


@server.tool
async def test_input_required_result_tampered_state(ctx: trimcp.Context) -> Any:
    """Keep something with the client that it must not change."""
    return (await ctx.elicit("Please confirm", Confirmation, key="confirm")).action


@server.tool
async def test_input_required_result_capabilities(ctx: trimcp.Context) -> Any:
    """Ask whatever the client can answer."""
    can = ctx.client_capabilities
    questions: dict[str, Any] = {}
    if can.elicitation is not None:
        questions["user_name"] = trimcp.Elicit("What is your name?", Name)
    if can.sampling is not None:
        questions["greeting"] = trimcp.Sample("Generate a greeting", max_tokens=50)
    if can.roots is not None:
        questions["client_roots"] = trimcp.Roots()
    answers = await ctx.ask(**questions)
    return json.dumps({key: _plain(answer) for key, answer in answers.items()})


def _plain(answer: Any) -> Any:
    if isinstance(answer, trimcp.Sampled):
        return answer.text
    if isinstance(answer, list):
        return [root.uri for root in answer]
    return attrs.asdict(answer, value_serializer=lambda _, __, value: getattr(value, "__dict__", value))
