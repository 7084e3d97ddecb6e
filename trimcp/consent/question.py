"""`Question`: a matter as a person is shown it: the server, what it wants, secrets masked, claims marked as claims.

Each line that the server wrote begins with a bar, so that none looks like a line of the dialog. Its unsafe characters
are escaped.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from trimcp.client.features.consent import Form, Matter, ModelAnswer, ModelPrompt, Page, Roots, ToolCall
from trimcp.client.features.peer_server import PeerServer
from trimcp.consent.rules import HINTS
from trimcp.consent.web_address import shown_url, warnings_of
from trimcp.observability.cleaning import escaped, escaped_lines
from trimcp.observability.masking import is_secret_schema, looks_secret, masked
from trimcp.types.content import TextContent

STRING: Final = 300
"""Characters of a string, unless the person wants the whole text."""
LINES: Final = 40
"""Lines of a part, unless the person wants the whole text."""
_BAR: Final = "  │ "


@attrs.frozen
class Question:
    """A question for a person.

    Attributes:
        matter: what is to be decided, unchanged. What the person is shown is `text`.
        changes: the parts of the definition that have changed since it was allowed, in words.
        can_remember: whether `Choice.ALWAYS` and `Choice.NEVER` are more than `YES` and `NO`.
        former_description: the description when it was allowed, if it has changed.
    """

    matter: Matter
    changes: Sequence[str] = ()
    can_remember: bool = False
    former_description: str | None = None

    @property
    def server(self) -> PeerServer:
        """The server that the question is about."""
        return self.matter.server

    @property
    def warnings(self) -> list[str]:
        """What the person should know before a yes."""
        return list(_warnings(self))

    @property
    def text(self) -> str:
        """The question, its long parts cut; `whole` has all of it."""
        return "\n".join(self._lines(is_whole=False))

    @property
    def whole(self) -> str:
        """The question, with nothing cut."""
        return "\n".join(self._lines(is_whole=True))

    def _lines(self, *, is_whole: bool) -> Iterator[str]:
        yield f"{_title(self.matter)}?"
        yield f"Server: {_server(self.server)}"
        for warning in self.warnings:
            yield f"WARNING: {warning}"
        if self.former_description is not None:
            yield "Its description was:"
            yield from _quoted(self.former_description, is_whole=is_whole)
        yield from _body(self.matter, is_whole=is_whole)


def _server(server: PeerServer) -> str:
    reached = "" if server.address == server.name else f" ({escaped(server.address)})"
    claimed = server.claimed
    itself = "" if claimed is None else f'; it calls itself "{escaped(claimed.title or claimed.name, 80)}"'
    return f"{escaped(server.name)}{reached}{itself}"


def _title(matter: Matter) -> str:
    match matter:
        case ToolCall():
            return f"Call the tool {escaped(matter.name, 128)}"
        case ModelPrompt():
            return "Send this prompt of the server to the model"
        case ModelAnswer():
            return "Send this answer of the model to the server"
        case Form():
            return "Show this form of the server"
        case Page():
            return "Open this web page"
        case Roots():
            return "Tell the server these folders, which it may work in"


def _warnings(question: Question) -> Iterator[str]:
    if question.changes:
        yield f"Changed since it was allowed: {', '.join(question.changes)}"
    matter = question.matter
    if isinstance(matter, ToolCall) and matter.tool is None:
        yield "The server does not list this tool, so it is not known what the tool does"
    if isinstance(matter, Page):
        yield from warnings_of(matter.params.url)
    if isinstance(matter, Form):
        secret = [escaped(name, 80) for name in secret_fields(matter.params.requested_schema)]
        if secret:
            yield f"The form looks as if it wants a secret ({', '.join(secret)}): a server must not ask for that"
        elif looks_secret(matter.params.message):
            yield "The message looks as if it wants a secret: a server must not ask for that in a form"


def secret_fields(schema: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields of a form that look as if they want a secret."""
    properties = schema.get("properties")
    return [
        str(name)
        for name, field in (properties.items() if isinstance(properties, Mapping) else ())
        if isinstance(field, Mapping)
        and (
            is_secret_schema(field)
            or any(looks_secret(str(text)) for text in (name, field.get("title", ""), field.get("description", "")))
        )
    ]


def _body(matter: Matter, *, is_whole: bool) -> Iterator[str]:
    match matter:
        case ToolCall():
            yield from _tool(matter, is_whole=is_whole)
        case ModelPrompt():
            yield from _prompt(matter, is_whole=is_whole)
        case ModelAnswer():
            content = matter.result.content
            for block in content if isinstance(content, list) else [content]:
                yield from _quoted(_block(block), is_whole=is_whole)
        case Form():
            yield "In the words of the server:"
            yield from _quoted(matter.params.message, is_whole=is_whole)
            yield "Fields:"
            properties = matter.params.requested_schema.get("properties") or {}
            names = [f"{name}: {_field(field)}" for name, field in properties.items()]
            yield from _quoted("\n".join(escaped(name) for name in names), is_whole=is_whole)
        case Page():
            yield "In the words of the server:"
            yield from _quoted(matter.params.message, is_whole=is_whole)
            yield from (_BAR + line for line in shown_url(matter.params.url))
        case Roots():
            folders = [urllib.parse.unquote(root.uri.removeprefix("file://")) for root in matter.roots]
            yield from _quoted("\n".join(escaped(folder) for folder in folders) or "none", is_whole=True)


def _tool(call: ToolCall, *, is_whole: bool) -> Iterator[str]:
    tool = call.tool
    if tool is not None and tool.description:
        yield "Its description, in the words of the server:"
        yield from _quoted(tool.description, is_whole=is_whole)
    annotations = None if tool is None else tool.annotations
    claims = [
        f"{hint} {str(value).lower()}"
        for hint, (attribute, _) in HINTS.items()
        if (value := getattr(annotations, attribute, None)) is not None
    ]
    yield f"The server claims, unverified: {', '.join(claims) or 'nothing'}"
    yield "Arguments:" if call.arguments else "Arguments: none"
    if call.arguments:
        arguments = masked(call.arguments, None if tool is None else tool.input_schema)
        shown = arguments if is_whole else _shortened(arguments)
        yield from _quoted(json.dumps(shown, indent=2, ensure_ascii=False), is_whole=is_whole)


def _prompt(prompt: ModelPrompt, *, is_whole: bool) -> Iterator[str]:
    params = prompt.params
    if params.system_prompt:
        yield "System prompt:"
        yield from _quoted(params.system_prompt, is_whole=is_whole)
    for message in params.messages:
        yield f"{escaped(message.role, 20)}:"
        for block in message.content if isinstance(message.content, list) else [message.content]:
            yield from _quoted(_block(block), is_whole=is_whole)
    if params.tools:
        yield f"Tools that the model may call: {', '.join(escaped(tool.name, 128) for tool in params.tools)}"
    if params.include_context not in (None, "none"):
        yield f"It wants context of: {params.include_context}"
    yield f"At most {params.max_tokens} tokens"


def _block(block: object) -> str:
    if isinstance(block, TextContent):
        return block.text
    data = getattr(block, "data", None)
    size = f", {len(data)} characters of base64" if isinstance(data, str) else ""
    if size:
        return f"[{getattr(block, 'type', 'content')}, {getattr(block, 'mime_type', 'unknown type')}{size}]"
    return json.dumps(masked(attrs.asdict(cast("attrs.AttrsInstance", block))), ensure_ascii=False, default=str)


def _field(field: object) -> str:
    known = field if isinstance(field, Mapping) else {}
    words = (known.get("title"), known.get("description"), known.get("format") or known.get("type"))
    return ", ".join(str(word) for word in words if word)


def _quoted(text: str, *, is_whole: bool) -> Iterator[str]:
    """Yield the lines of a text of the server, each behind a bar."""
    lines = escaped_lines(text.replace("\r\n", "\n")).split("\n")
    shown: Iterable[str] = lines if is_whole else lines[:LINES]
    for line in shown:
        most = len(line) if is_whole else 4 * STRING
        yield _BAR + (line if len(line) <= most else f"{line[:most]}… ({len(line)} characters)")
    if not is_whole and len(lines) > LINES:
        yield f"({len(lines) - LINES} more lines)"


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > STRING:
        return f"{value[:STRING]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in value] if isinstance(value, list) else value
