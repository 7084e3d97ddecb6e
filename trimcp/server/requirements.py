"""What a client must have declared for what may be asked of it: one table.

`ctx.elicit` and its kin look here before they ask, and `@server.tool(requires=…)` before a tool runs.
client/{elicitation,sampling,roots} of every revision, "Capabilities".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import attrs

from trimcp.errors import CapabilityMissing
from trimcp.protocol.profile import ClientProfile
from trimcp.session.request import InboundRequest
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.jsonrpc import INVALID_REQUEST, MISSING_CLIENT_CAPABILITY
from trimcp.types.revisions import Revision

Requirement = Literal["elicitation", "elicitation.url", "sampling", "sampling.tools", "roots"]


@attrs.frozen
class Need:
    """One thing that a client may be able to do."""

    is_met: Callable[[ClientCapabilities], bool]
    on_the_wire: dict[str, Any]
    """What it would have had to declare."""


def _has_forms(declared: ClientCapabilities) -> bool:
    elicitation = declared.elicitation
    # An empty capability stands for forms: 2025-06-18 has nothing else.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


NEEDS: Final[dict[Requirement, Need]] = {
    "elicitation": Need(_has_forms, {"elicitation": {"form": {}}}),
    "elicitation.url": Need(
        lambda declared: declared.elicitation is not None and declared.elicitation.url is not None,
        {"elicitation": {"url": {}}},
    ),
    "sampling": Need(lambda declared: declared.sampling is not None, {"sampling": {}}),
    "sampling.tools": Need(
        lambda declared: declared.sampling is not None and declared.sampling.tools is not None,
        {"sampling": {"tools": {}}},
    ),
    "roots": Need(lambda declared: declared.roots is not None, {"roots": {}}),
}


def check(request: InboundRequest, requirement: Requirement) -> None:
    """Check that the client of a request declared something.

    Raises:
        CapabilityMissing: it did not; in the code of the request's revision.
    """
    check_profile(request.profile, request.revision, requirement, request.method)


def check_profile(profile: ClientProfile | None, revision: Revision, requirement: Requirement, what: str) -> None:
    """The same for anything else, `what`, that needs it."""
    need = NEEDS[requirement]
    if profile is not None and need.is_met(profile.capabilities):
        return
    raise CapabilityMissing(
        _code(revision),
        f"The client did not declare the capability {requirement}, which {what} needs",
        {"requiredCapabilities": need.on_the_wire},
    )


def extension_missing(identifier: str, revision: Revision) -> CapabilityMissing:
    """The error where the client did not declare an extension (basic/versioning, "Extension Negotiation")."""
    return CapabilityMissing(
        _code(revision),
        f"The client did not declare the extension {identifier}, which this needs",
        {"requiredCapabilities": {"extensions": {identifier: {}}}},
    )


def _code(revision: Revision) -> int:
    return INVALID_REQUEST if revision.server_asks else MISSING_CLIENT_CAPABILITY
