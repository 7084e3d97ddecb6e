"""Consent: a person, or a rule of a person's, decides which tools are called and what servers get.

    policy = Policy([Rule("allow", tool="search_*", server="notes")], person=Dialog())
    async with trimcp.connect("https://notes.example/mcp", consent=policy) as client:
        ...

A `Policy` has rules, asks a `Person`, remembers decisions, and writes an audit log. Names are imported when they are
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.client.features.consent import Consent, Matter
    from trimcp.client.features.peer_server import PeerServer
    from trimcp.consent.decisions import Decision, DecisionFile
    from trimcp.consent.person import Choice, Person
    from trimcp.consent.policy import Policy
    from trimcp.consent.question import Question
    from trimcp.consent.rules import Rule

_PLACES = {
    "Choice": "trimcp.consent.person",
    "Consent": "trimcp.client.features.consent",
    "Decision": "trimcp.consent.decisions",
    "DecisionFile": "trimcp.consent.decisions",
    "Matter": "trimcp.client.features.consent",
    "PeerServer": "trimcp.client.features.peer_server",
    "Person": "trimcp.consent.person",
    "Policy": "trimcp.consent.policy",
    "Question": "trimcp.consent.question",
    "Rule": "trimcp.consent.rules",
}

__all__ = [
    "Choice",
    "Consent",
    "Decision",
    "DecisionFile",
    "Matter",
    "PeerServer",
    "Person",
    "Policy",
    "Question",
    "Rule",
]


if not TYPE_CHECKING:  # a type checker that sees the function accepts every name

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value
        return value
