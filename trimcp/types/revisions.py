"""The five revisions of MCP, and what differs between them beyond their types, as data.

A row here is the only place that knows what a revision does; code asks the row and never
compares versions. Which methods and fields a revision has is in `methods` and `fields`.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs


class Era(enum.Enum):
    """How a peer makes itself known: basic/versioning of 2026-07-28."""

    LEGACY = "legacy"
    """By an `initialize` handshake that opens a session."""
    MODERN = "modern"
    """By the `_meta` of each request; there is no session."""


@attrs.frozen
class Revision:
    """One revision of the specification."""

    version: str
    """Its date, as it stands on the wire."""
    order: int
    """0 for the oldest; fields and methods name the span of revisions that have them."""
    era: Era
    batches: bool = False
    """Whether a JSON array of messages must be accepted (basic of 2025-03-26)."""
    unreadable_id_is_null: bool = True
    """Whether an error about a message whose id could not be read carries `"id": null`;
    from 2025-11-25 on it carries no id."""
    progress_message: bool = True
    """Whether `notifications/progress` has a `message`."""
    resource_not_found: int = -32002
    """The code of the error for an unknown resource."""
    result_type: bool = False
    """Whether every result carries `resultType`, and every cacheable one its hints."""
    structured_any: bool = False
    """Whether `structuredContent` and `outputSchema` may be other than an object."""
    titled_options: bool = True
    """Whether a form's options may have titles of their own, and several may be chosen."""
    primes_streams: bool = False
    """Whether an event stream over HTTP begins with an event that has an id and no data, and may be left by the
    server to be polled."""
    server_asks: bool = True
    """Whether the server may send requests of its own."""
    reserves_codes: bool = False
    """Whether codes of errors that older revisions used, or later ones may, must not be sent."""

    def sendable(self, code: int) -> int:
        """The code that an error goes out with: its own, or, where that is forbidden, what came in its place."""
        if not self.reserves_codes or code not in RESERVED:
            return code
        return self.resource_not_found if code == REVISIONS[0].resource_not_found else -32603


RESERVED: Final = frozenset({-32002, *range(-32099, -32022)})
"""Codes of errors that older revisions used, or later ones may (basic/index of 2026-07-28, "Error Codes")."""

REVISIONS: Final = (
    Revision("2024-11-05", 0, Era.LEGACY, progress_message=False, titled_options=False),
    Revision("2025-03-26", 1, Era.LEGACY, batches=True, titled_options=False),
    Revision("2025-06-18", 2, Era.LEGACY, titled_options=False),
    Revision("2025-11-25", 3, Era.LEGACY, unreadable_id_is_null=False, primes_streams=True),
    Revision(
        "2026-07-28",
        4,
        Era.MODERN,
        unreadable_id_is_null=False,
        resource_not_found=-32602,
        result_type=True,
        structured_any=True,
        server_asks=False,
        reserves_codes=True,
    ),
)
"""All revisions, oldest first."""

BY_VERSION: Final = {revision.version: revision for revision in REVISIONS}
LATEST: Final = REVISIONS[-1]
LATEST_LEGACY: Final = max((r for r in REVISIONS if r.era is Era.LEGACY), key=lambda r: r.order)
