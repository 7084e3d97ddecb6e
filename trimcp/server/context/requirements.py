"""Checks that a client declared a capability: before `ctx.elicit` and others ask, and for `@server.tool(requires=…)`.

client/{elicitation,sampling,roots} of every revision, "Capabilities".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import attrs

from trimcp.errors import CapabilityMissing
from trimcp.framing.headers import request_title
from trimcp.protocol.client_profile import ClientProfile
from trimcp.session.request import InboundRequest
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.jsonrpc import INVALID_REQUEST, MISSING_CLIENT_CAPABILITY
from trimcp.types.revisions import Revision

Requirement = Literal["elicitation", "elicitation.url", "sampling", "sampling.tools", "roots"]


@attrs.frozen(eq=False, repr=False)
class Capability:
    """Tells whether clients declared a capability."""

    is_declared: Callable[[ClientCapabilities], bool]
    on_the_wire: dict[str, Any]
    """The capability as clients declare it, for the error."""


def _has_forms(declared: ClientCapabilities) -> bool:
    elicitation = declared.elicitation
    # An empty capability stands for forms: 2025-06-18 has no other kind.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


NEEDS: Final[dict[Requirement, Capability]] = {
    "elicitation": Capability(_has_forms, {"elicitation": {"form": {}}}),
    "elicitation.url": Capability(
        lambda declared: declared.elicitation is not None and declared.elicitation.url is not None,
        {"elicitation": {"url": {}}},
    ),
    "sampling": Capability(lambda declared: declared.sampling is not None, {"sampling": {}}),
    "sampling.tools": Capability(
        lambda declared: declared.sampling is not None and declared.sampling.tools is not None,
        {"sampling": {"tools": {}}},
    ),
    "roots": Capability(lambda declared: declared.roots is not None, {"roots": {}}),
}


def check(request: InboundRequest, requirement: Requirement) -> None:
    """Check that the client of a request declared a capability.

    Raises:
        CapabilityMissing: it did not. The code is that of the revision.
    """
    check_profile(request.profile, request.revision, requirement, request_title(request.method, request.params))


def check_profile(profile: ClientProfile | None, revision: Revision, requirement: Requirement, user: str) -> None:
    """Check that a client declared a capability. `user` names the method that needs it, for the error."""
    capability = NEEDS[requirement]
    if profile is not None and capability.is_declared(profile.capabilities):
        return
    raise CapabilityMissing(
        _code(revision),
        f"The client did not declare the capability {requirement}, which {user} needs",
        {"requiredCapabilities": capability.on_the_wire},
    )


def extension_missing(identifier: str, revision: Revision) -> CapabilityMissing:
    """Make the error for an extension that the client did not declare (basic/versioning, "Extension Negotiation")."""
    return CapabilityMissing(
        _code(revision),
        f"The client did not declare the extension {identifier}, which this needs",
        {"requiredCapabilities": {"extensions": {identifier: {}}}},
    )


def _code(revision: Revision) -> int:
    return INVALID_REQUEST if revision.server_asks else MISSING_CLIENT_CAPABILITY
