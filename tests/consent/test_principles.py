"""The key principles of the specification (its first page, "Security and Trust & Safety"): a test for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import trimcp
from tests.consent.hosts import Editor, Scripted, audited, notes, policy
from trimcp.client.features.consent import ModelAnswer, ModelPrompt
from trimcp.consent import Choice, Rule
from trimcp.errors import ConsentRefused, RequestFailed
from trimcp.types.content import TextContent
from trimcp.types.tools import ToolAnnotations

REVISIONS = ("2025-11-25", "2026-07-28")


@pytest.mark.parametrize("revision", REVISIONS)
async def test_user_consent_and_control(tmp_path: Path, revision: str) -> None:
    """The person sees each operation before it happens, decides each kind of it, and can take a decision back."""
    server, deleted = notes()

    @server.tool
    async def where(*, ctx: trimcp.Context) -> list[str]:
        return [root.uri for root in await ctx.roots()]

    @server.tool
    async def ask_page(*, ctx: trimcp.Context) -> str:
        return (await ctx.elicit_url("Pay here", "https://pay.example/7", id="7")).action

    opened: list[str] = []
    person = Scripted(Choice.NO, Choice.YES, Choice.NO, Choice.YES, Choice.NO, Choice.ALWAYS)

    async def visit(page: Any) -> bool:
        opened.append(page.url)
        return True

    mine = policy(tmp_path, person)
    given = {"roots": ["/home/ann/notes"], "visit": visit, "revision": revision, "consent": mine}
    async with trimcp.connect(server, **given) as client:
        with pytest.raises(ConsentRefused):
            await client.call_tool("delete", {"note": "a"})
        refused = await _text_or_refusal(client, "where")
        assert "rejected" in refused or "roots" in refused
        assert (await client.call_tool("ask_page")).text == "decline"
        await client.call_tool("delete", {"note": "b"})
    assert (deleted, opened) == (["b"], [])
    firsts = [text.splitlines()[0] for text in person.texts]
    assert firsts == [
        "Call the tool delete?",
        "Call the tool where?",
        "Tell the server these folders, which it may work in?",
        "Call the tool ask_page?",
        "Open this web page?",
        "Call the tool delete?",
    ]
    assert "  │ /home/ann/notes" in person.texts[2]
    assert [line["allowed"] for line in audited(tmp_path)] == [False, True, False, True, False, True]
    (decision,) = await mine.decisions.all()
    await mine.decisions.revoke([decision.id])
    async with trimcp.connect(server, revision=revision, consent=mine) as client:
        with pytest.raises(ConsentRefused):
            await client.call_tool("delete", {"note": "c"})


async def _text_or_refusal(client: trimcp.Client, tool: str) -> str:
    """In the legacy era the server is told of a refusal; in the modern one the call ends with it."""
    try:
        return (await client.call_tool(tool)).text
    except RequestFailed as exc:
        return str(exc)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_data_privacy(tmp_path: Path, revision: str) -> None:
    """No data of the user leaves without a yes; secrets are not shown; forms that want secrets are marked."""
    server, deleted = notes()

    @server.tool
    async def login(*, ctx: trimcp.Context) -> str:
        form = {"type": "object", "properties": {"user": {"type": "string"}, "pass_phrase": {"type": "string"}}}
        form["properties"]["pin"] = {"type": "string", "title": "Your PIN"}  # type: ignore[index]
        return (await ctx.elicit("Sign in", form)).action

    filled: list[Any] = []

    async def fill_in(params: Any) -> dict[str, Any]:
        filled.append(params)
        return {"user": "ann", "pin": "1234"}

    person = Scripted(Choice.YES, Choice.YES, Choice.NO)
    given = {"elicitation": fill_in, "revision": revision, "consent": policy(tmp_path, person)}
    async with trimcp.connect(server, **given) as client:
        await client.call_tool("delete", {"note": "a", "api_key": "sk-123456"})
        assert (await client.call_tool("login")).text == "decline"
    assert (deleted, filled) == (["a"], [])
    assert "sk-123456" not in person.questions[0].whole
    assert '"note": "a"' in person.texts[0]
    assert (
        "WARNING: The form looks as if it wants a secret (pass_phrase, pin): a server must not ask for that"
        in person.texts[2]
    )
    assert 'it calls itself "notes"' in person.texts[2]
    assert "sk-123456" not in (tmp_path / "consent" / "audit.ndjson").read_text()


async def test_tool_safety(tmp_path: Path) -> None:
    """No tool runs without a yes. The person sees its description and arguments, and annotations as mere claims."""
    server = trimcp.Server("files")
    ran: list[str] = []

    @server.tool(annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False))
    async def tidy(path: str) -> str:
        """Tidy a folder up."""
        ran.append(path)
        return "tidy"

    person = Scripted(Choice.NO)
    async with trimcp.connect(server, consent=policy(tmp_path, person)) as client:
        with pytest.raises(ConsentRefused):
            await client.call_tool("tidy", {"path": "/home"})
    assert ran == []
    assert person.texts[0].splitlines() == [
        "Call the tool tidy?",
        'Server: in this process: files; it calls itself "files"',
        "Its description, in the words of the server:",
        "  │ Tidy a folder up.",
        "The server claims, unverified: readOnlyHint true, destructiveHint false",
        "Arguments:",
        "  │ {",
        '  │   "path": "/home"',
        "  │ }",
    ]
    # A server that is trusted by its address may be believed.
    rules = [Rule("allow", server="in this process: files", annotations={"readOnlyHint": True})]
    async with trimcp.connect(server, consent=policy(tmp_path, rules=rules)) as client:
        await client.call_tool("tidy", {"path": "/home"})
    assert ran == ["/home"]


def _summariser() -> trimcp.Server:
    server = trimcp.Server("summariser")

    @server.tool
    async def summarise(text: str, *, ctx: trimcp.Context) -> str:
        try:
            answer = await ctx.sample([f"Summarise: {text}"], system_prompt="Be short.", max_tokens=50)
        except RequestFailed as exc:
            return f"refused {exc.code}"
        return answer.text

    return server


@pytest.mark.parametrize("revision", REVISIONS)
async def test_llm_sampling_controls(tmp_path: Path, revision: str) -> None:
    """The person sees the prompt, may change or refuse it, and sees the answer before the server does."""
    prompts: list[str] = []

    async def model(params: Any) -> str:
        prompts.append(params.messages[0].content.text)
        return "The secret is 42."

    def edit(draft: ModelPrompt | ModelAnswer) -> Any:
        if isinstance(draft, ModelPrompt):
            message = attrs.evolve(draft.params.messages[0], content=TextContent("Summarise: (cut)"))
            return attrs.evolve(draft, params=attrs.evolve(draft.params, messages=[message]))
        return attrs.evolve(draft, result=attrs.evolve(draft.result, content=TextContent("It is a number.")))

    def refuse_prompt(draft: ModelPrompt | ModelAnswer) -> Any:
        return None

    def refuse_answer(draft: ModelPrompt | ModelAnswer) -> Any:
        return draft if isinstance(draft, ModelPrompt) else None

    results = []
    editor = Editor(edit)
    for person in (editor, Editor(refuse_prompt), Editor(refuse_answer)):
        rules = [Rule("allow", tool="summarise")]
        given = {"revision": revision, "sampling": model, "consent": policy(tmp_path, person, rules)}
        async with trimcp.connect(_summariser(), **given) as client:
            try:
                results.append((await client.call_tool("summarise", {"text": "my diary"})).text)
            except RequestFailed as exc:  # in 2026-07-28 the call itself ends
                results.append(f"refused {exc.code}")
    assert results == ["It is a number.", "refused -1", "refused -1"]
    assert prompts == ["Summarise: (cut)", "Summarise: my diary"]
    asked, answered = editor.texts
    assert asked.splitlines()[2:] == [
        "System prompt:",
        "  │ Be short.",
        "user:",
        "  │ Summarise: my diary",
        "At most 50 tokens",
    ]
    assert "  │ The secret is 42." in answered
    sampled = [line for line in audited(tmp_path) if line["kind"] == "sampling"]
    assert [line["by"] for line in sampled[:2]] == ["person: changed", "person: changed"]
    assert [line["allowed"] for line in sampled] == [True, True, False, True, False]
