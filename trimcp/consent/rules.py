"""`Rule`: allows, asks or denies by server, tool and annotation. The first rule that matches decides."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

import attrs

from trimcp.client.features.consent import Form, Matter, Page, Roots, ToolCall
from trimcp.errors import UsageError
from trimcp.types.tools import Tool, ToolAnnotations

Action = Literal["allow", "ask", "deny"]
Kind = Literal["tool", "sampling", "form", "page", "roots"]

HINTS: Final[Mapping[str, tuple[str, bool]]] = MappingProxyType(
    {
        "readOnlyHint": ("read_only_hint", False),
        "destructiveHint": ("destructive_hint", True),
        "idempotentHint": ("idempotent_hint", False),
        "openWorldHint": ("open_world_hint", True),
    }
)
"""The annotations of tools: the attribute, and the value where the server does not give one (server/tools)."""


@attrs.frozen
class Rule:
    """One rule of a policy. Patterns are globs: `*`, `?` and `[…]`, with upper and lower case.

    Attributes:
        action: `allow`, `ask` (a remembered decision counts) or `deny`.
        tool: pattern of the name of the tool.
        server: pattern of the server's name on this side, or of its address; never of the name that it gives itself.
        kind: what the rule is about: `tool`, `sampling`, `form`, `page` or `roots`.
        annotations: values that the annotations of the tool must have: `{"readOnlyHint": True}`. A missing one has
            the default of the specification.

    Raises:
        UsageError: the rule allows what may only be asked; it trusts the annotations of any server; a word is unknown.
    """

    action: Action
    tool: str = "*"
    server: str = "*"
    kind: Kind = "tool"
    annotations: Mapping[str, bool] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise UsageError(f"Invalid action {self.action!r} of a rule: use {', '.join(get_args(Action))}")
        if self.kind not in get_args(Kind):
            raise UsageError(f"Invalid kind {self.kind!r} of a rule: use {', '.join(get_args(Kind))}")
        unknown = self.annotations.keys() - HINTS.keys()
        if unknown:
            raise UsageError(f"Invalid annotation {unknown.pop()!r} of a rule: use {', '.join(HINTS)}")
        if self.kind != "tool" and (self.tool != "*" or self.annotations):
            raise UsageError(f"A rule about {self.kind} has no tool: remove tool and annotations")
        if self.action == "allow" and self.kind == "page":
            raise UsageError("A page is opened only after a yes (client/elicitation): use ask or deny for pages")
        if self.action == "allow" and self.annotations and not self.server.strip("*"):
            raise UsageError(
                "Annotations are claims of the server (server/tools): a rule that allows by them must name a server"
            )

    def matches(self, matter: Matter) -> bool:
        """Return whether the rule is about a matter."""
        names = (matter.server.name, matter.server.address)
        if self.kind != kind_of(matter) or not any(fnmatch.fnmatchcase(name, self.server) for name in names):
            return False
        if not isinstance(matter, ToolCall):
            return True
        claimed = claims_of(matter.tool)
        return fnmatch.fnmatchcase(matter.name, self.tool) and all(
            claimed[hint] == value for hint, value in self.annotations.items()
        )

    def __str__(self) -> str:
        words: list[str] = [self.action, self.kind, self.tool] if self.kind == "tool" else [self.action, self.kind]
        hints = [f"{name}={str(value).lower()}" for name, value in self.annotations.items()]
        return " ".join([*words, "of", self.server, *hints])


def kind_of(matter: Matter) -> Kind:
    """Return the kind of a matter, in the words of rules."""
    if isinstance(matter, ToolCall):
        return "tool"
    if isinstance(matter, Form):
        return "form"
    if isinstance(matter, Page):
        return "page"
    return "roots" if isinstance(matter, Roots) else "sampling"


def claims_of(tool: Tool | None) -> dict[str, bool]:
    """Return the annotations of a tool, with the defaults of the specification."""
    annotations = None if tool is None else tool.annotations
    claimed = annotations or ToolAnnotations()
    given = {hint: getattr(claimed, attribute) for hint, (attribute, _) in HINTS.items()}
    return {hint: HINTS[hint][1] if value is None else value for hint, value in given.items()}
