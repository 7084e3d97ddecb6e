"""What `check_server` finds, and what it has done."""

from __future__ import annotations

from typing import Any, Literal

import attrs

Kind = Literal["tool", "resource", "template", "prompt", "list"]
Check = Literal["schema", "list", "call", "cancel", "drain", "subscription"]


@attrs.frozen
class ServerFault:
    """A fault of one tool, resource, template, prompt or list.

    Attributes:
        kind: its kind.
        name: its name; of a resource its URI, of a template its text, of a list its method.
        check: the check that found the fault.
        problem: the fault, with the smallest arguments that show it.
    """

    kind: Kind
    name: str
    check: Check
    problem: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.check}): {self.problem}"


@attrs.define
class CheckReport:
    """What was done with one tool, resource, template or prompt.

    Attributes:
        kind: its kind.
        name: as of `ServerFault`.
        calls: how many calls were made to their end.
        refusals: how many of them were refused: by a `ToolError`; of a prompt or a template by an error.
        cancelled: how many calls were cancelled while the handler waited; 0 for a handler that never waits.
        drained: how many calls were in flight when the server drained.
    """

    kind: Kind
    name: str
    calls: int = 0
    refusals: int = 0
    cancelled: int = 0
    drained: int = 0
    examples: list[dict[str, Any]] = attrs.field(factory=list, repr=False)
    """The arguments of the calls."""


class FaultsFound(AssertionError):
    """Faults of a server were found. `faults` is the list of them."""

    def __init__(self, faults: list[ServerFault]) -> None:
        head = f"{len(faults)} fault{'' if len(faults) == 1 else 's'} of the server:"
        super().__init__("\n  ".join([head, *map(str, faults)]))
        self.faults: list[ServerFault] = faults
