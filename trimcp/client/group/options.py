"""The options that members of a group are connected with, and the functions that answer the servers of all members.

A function of a group gets the name of the member whose server asks first.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import attrs

from trimcp.actors.containment import answer_of
from trimcp.client.features.consent import Consent, ConsentInTurn, consent_of
from trimcp.errors import UsageError

if TYPE_CHECKING:
    import httpx2

    from trimcp.client.extension import ClientExtension
    from trimcp.client.features.client_features import (
        Answer,
        Elicitation,
        Folder,
        RootsSource,
        Sampling,
        Visit,
    )
    from trimcp.client.features.consent import ConsentFunction, QuestionParams
    from trimcp.client.features.elicitation import Elicitation as ElicitationActor
    from trimcp.client.requests import Timeouts
    from trimcp.http.client.auth import Auth
    from trimcp.limits import Limits
    from trimcp.observability.telemetry import Telemetry
    from trimcp.observability.wire_tap import WireTap
    from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
    from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult
    from trimcp.types.utilities import LoggingLevel

    GroupSampling = Callable[[str, CreateMessageRequestParams], Answer[CreateMessageResult | str]]
    GroupElicitation = Callable[[str, ElicitRequestFormParams], Answer[ElicitResult | dict[str, Any] | None]]
    GroupVisit = Callable[[str, ElicitRequestURLParams], Answer[ElicitResult | bool]]
    GroupConsent = Callable[[str, str, QuestionParams], Answer[bool]]
    GroupRoots = Sequence[Folder] | Callable[[str], Answer[Sequence[Folder]]]


class GroupOptions(TypedDict, total=False):
    """The options of `trimcp.connect` that a group takes for all of its members."""

    revision: str | None
    timeouts: Timeouts | None
    limits: Limits | None
    name: str
    version: str
    sampling_tools: bool
    log_level: LoggingLevel | None
    cache: bool
    extensions: Sequence[ClientExtension]
    telemetry: Telemetry | None
    tap: WireTap | None
    tasks: bool
    headers: Mapping[str, str] | None
    http_client: httpx2.AsyncClient | None
    transport: Literal["http", "sse"] | None
    reopen: bool
    env: Mapping[str, str] | None
    inherit_env: bool
    cwd: str | os.PathLike[str] | None


class ConnectOptions(GroupOptions, total=False):
    """The options of `trimcp.connect`, which documents them."""

    sampling: Sampling | None
    elicitation: Elicitation | None
    visit: Visit | None
    roots: RootsSource | None
    consent: Consent | ConsentFunction | None
    auth: Auth | None
    on_stderr: Callable[[str], None] | None


@attrs.frozen(kw_only=True)
class GroupFunctions:
    """Holds the functions of a group: as those of `connect`, with the name of the member as first argument."""

    sampling: GroupSampling | None = None
    elicitation: GroupElicitation | None = None
    visit: GroupVisit | None = None
    roots: GroupRoots | None = None
    consent: Consent | GroupConsent | None = None
    on_stderr: Callable[[str, str], None] | None = None

    def of(self, server: str) -> dict[str, Any]:
        """Return them as options of `connect`, for one member."""
        options: dict[str, Any] = {}
        for field in attrs.fields(type(self)):
            given = getattr(self, field.name)
            if given is not None:
                options[field.name] = functools.partial(given, server) if callable(given) else given
        return options


def ask_in_turn(options: dict[str, Any], server: str, elicitation: ElicitationActor) -> None:
    """Wrap the options that ask the user about a member, so that all members open one dialog after the other."""
    for name in ("elicitation", "visit"):
        if options.get(name) is not None:
            options[name] = functools.partial(_asked, elicitation, options[name])
    consent = consent_of(options.get("consent"))
    if consent is not None:
        options["consent"] = ConsentInTurn(consent.named(server), elicitation.ask)


async def _asked(elicitation: ElicitationActor, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    return await elicitation.ask(functools.partial(answer_of, function, *args))


def check_options(options: Mapping[str, Any]) -> None:
    """Check the names of options.

    Raises:
        UsageError: `connect` has no option of that name.
    """
    from trimcp.client.connect import connect

    unknown = options.keys() - inspect.signature(connect).parameters.keys() | options.keys() & {"target"}
    if unknown:
        raise UsageError(f"trimcp.connect has no option {', '.join(sorted(unknown))}: see its parameters")
