"""The five revisions of MCP, and their differences beyond types, as data.

Only the rows here know what a revision does; code asks the row and never compares versions. The
methods and fields of a revision are in `methods` and `fields`.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs


class Era(enum.Enum):
    """The way in which a peer introduces itself (basic/versioning of 2026-07-28)."""

    LEGACY = "legacy"
    """By an `initialize` handshake that opens a session."""
    MODERN = "modern"
    """By the `_meta` of each request; there is no session."""


@attrs.frozen(eq=False, repr=False)
class Revision:
    """Holds one revision of the specification, and its rules as flags."""

    version: str
    """Its date, as it stands on the wire."""
    order: int
    """0 for the oldest; fields and methods have spans of these numbers."""
    era: Era
    batches: bool = False
    """Whether a JSON array of messages must be accepted (basic of 2025-03-26)."""
    unreadable_id_is_null: bool = True
    """Whether an error about a message with an unreadable id has `"id": null`; from 2025-11-25 on it has
    no id."""
    progress_message: bool = True
    """Whether `notifications/progress` has a `message`."""
    resource_not_found: int = -32002
    """The code of the error for an unknown resource."""
    result_type: bool = False
    """Whether every result has `resultType`, and every cacheable result its hints."""
    structured_any: bool = False
    """Whether `structuredContent` and `outputSchema` may be of other types than object."""
    titled_options: bool = True
    """Whether the options of a form may have titles, and several may be chosen."""
    primes_streams: bool = False
    """Whether an event stream over HTTP begins with an event of an id without data, and the server may
    close it, so that the client polls."""
    server_asks: bool = True
    """Whether the server may send requests."""
    reserves_codes: bool = False
    """Whether the error codes in `RESERVED` must not be sent."""

    def __repr__(self) -> str:
        return f"Revision({self.version})"

    def sendable(self, code: int) -> int:
        """Return the code to send for an error: its own, or the replacement of a reserved code."""
        if not self.reserves_codes or code not in RESERVED:
            return code
        return self.resource_not_found if code == REVISIONS[0].resource_not_found else -32603


RESERVED: Final = frozenset({-32002, *range(-32099, -32022)})
"""Error codes that older revisions used, or later ones may use (basic/index of 2026-07-28, "Error Codes")."""

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

R2025_03_26: Final = 1
R2025_06_18: Final = 2
R2025_11_25: Final = 3
R2026_07_28: Final = 4
"""The `order` of each revision after the first, for tables."""

BY_VERSION: Final = {revision.version: revision for revision in REVISIONS}
LATEST: Final = REVISIONS[-1]
LATEST_LEGACY: Final = max((r for r in REVISIONS if r.era is Era.LEGACY), key=lambda r: r.order)
