"""Where trimcp takes what an official schema refuses, or refuses what it allows, and why.

`test_refusals` and `test_examples` fail on any other difference, and on a row here that is none.
"""

from typing import Literal

import attrs

from trimcp.types.revisions import REVISIONS, Revision

ALL = tuple(revision.version for revision in REVISIONS)
MODERN = ("2026-07-28",)


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


@attrs.frozen
class Deviation:
    """One difference, by the names of the properties that it is about, or lies below."""

    properties: frozenset[str] = attrs.field(converter=_words)
    trimcp: Literal["takes", "refuses"]
    """What trimcp does where the schema does the opposite."""
    versions: tuple[str, ...]
    reason: str
    definitions: frozenset[str] = attrs.field(default="", converter=_words)
    """Where it holds; everywhere if not given."""


DEVIATIONS = (
    # What the prose of the specification says, against its schema.
    Deviation("ttlMs", "takes", MODERN, "server/utilities/caching: a missing one is taken for 0, a negative one for 0"),
    Deviation("cacheScope", "takes", MODERN, "without it a result is kept as if private, which is never wrong"),
    Deviation("resultType", "takes", MODERN, "basic/index: a missing one is taken for complete"),
    Deviation("resultType", "refuses", MODERN, "basic/index: one that is not known makes the result invalid"),
    Deviation(
        "requestId params",
        "refuses",
        ("2025-11-25",),
        "basic/utilities/cancellation: it may be missing for tasks alone, which must be cancelled otherwise",
        "CancelledNotification CancelledNotificationParams",
    ),
    Deviation(
        "form url context tools completions logging extensions experimental metadata prompts resources",
        "takes",
        MODERN,
        "JSONValue of schema.json knows neither null nor fractions, which the TypeScript it was made from does",
    ),
    Deviation(
        "content",
        "takes",
        ("2025-06-18", "2025-11-25", "2026-07-28"),
        "fractions as above; null, which clients send for what was left empty, is for the form's schema to judge",
        "ElicitResult InputResponse InputResponses",
    ),
    # What is checked elsewhere.
    Deviation("_meta params", "takes", MODERN, "read before the payload, in trimcp.protocol.client_profile"),
    Deviation(
        "inputResponses", "takes", MODERN, "which class an answer is depends on the question: whoever asked knows"
    ),
    Deviation(
        "result",
        "takes",
        MODERN,
        "raw in an envelope, and its _meta as said before",
        "JSONRPCMessage JSONRPCResponse JSONRPCResultResponse SubscriptionsListenResultResponse",
    ),
    Deviation("code", "takes", ("2025-11-25", "2026-07-28"), "another code is another error"),
    # Where the letter of the schema serves nobody.
    Deviation(
        "priority costPriority speedPriority intelligencePriority",
        "takes",
        ALL,
        "a hint beyond its range is no reason to lose what it is about",
    ),
    Deviation(
        "id",
        "takes",
        ALL,
        "an error about a message that could not be read has a null id, or none: JSON-RPC, section 5",
    ),
    Deviation("id", "refuses", ALL, "a request with an id that is none must not pass for a notification"),
    Deviation(
        "result",
        "refuses",
        MODERN,
        "a broken result must not pass for an InputRequiredResult, which may be anything: resultType tells them apart",
        "CallToolResultResponse GetPromptResultResponse ReadResourceResultResponse",
    ),
    Deviation(
        "enum enumNames",
        "refuses",
        ("2025-06-18", "2025-11-25", "2026-07-28"),
        "a choice whose options are broken must not pass for a free text",
    ),
)


def deviation_for(
    definition: str, path: tuple[str, ...], trimcp: Literal["takes", "refuses"], revision: Revision
) -> Deviation | None:
    """The row for a difference at a path, if it is meant."""
    for deviation in DEVIATIONS:
        if (
            deviation.trimcp == trimcp
            and revision.version in deviation.versions
            and not deviation.properties.isdisjoint(path)
            and (not deviation.definitions or definition in deviation.definitions)
        ):
            return deviation
    return None
