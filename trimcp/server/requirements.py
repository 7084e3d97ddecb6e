"""What a client must have declared for what may be asked of it: one table.

`ctx.elicit` and its kin look here before they ask, and `@server.tool(requires=…)` before a tool runs.
client/{elicitation,sampling,roots} of every revision, "Capabilities".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import attrs

from trimcp.errors import CapabilityMissing
from trimcp.session.request import InboundRequest
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.jsonrpc import INVALID_REQUEST, MISSING_CLIENT_CAPABILITY

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
    profile = request.profile
    need = NEEDS[requirement]
    if profile is not None and need.is_met(profile.capabilities):
        return
    raise CapabilityMissing(
        INVALID_REQUEST if request.revision.server_asks else MISSING_CLIENT_CAPABILITY,
        f"The client did not declare the capability {requirement}, which {request.method} needs",
        {"requiredCapabilities": need.on_the_wire},
    )
