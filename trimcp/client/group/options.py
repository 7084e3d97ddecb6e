"""What the members of a group are connected with: options of `trimcp.connect`, and functions that know for whom.

A group's functions answer for all of its servers, and get the name of the one that asks before what it asks.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import attrs

from trimcp.errors import UsageError

if TYPE_CHECKING:
    import httpx2

    from trimcp.client.client import Timeouts
    from trimcp.client.extension import ClientExtension
    from trimcp.client.features.elicitation import Elicitation as ElicitationActor
    from trimcp.client.handlers import Asked, Consent, Elicitation, RootsSource, Sampling, Visit
    from trimcp.session.limits import Limits
    from trimcp.transports.http.client_auth import Auth
    from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
    from trimcp.types.logging import LoggingLevel
    from trimcp.types.roots import Root
    from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult

    GroupSampling = Callable[[str, CreateMessageRequestParams], Awaitable[CreateMessageResult | str]]
    GroupElicitation = Callable[[str, ElicitRequestFormParams], Awaitable[ElicitResult | dict[str, Any] | None]]
    GroupVisit = Callable[[str, ElicitRequestURLParams], Awaitable[ElicitResult | bool]]
    GroupConsent = Callable[[str, str, Asked], Awaitable[bool]]
    Folder = str | os.PathLike[str] | Root
    GroupRoots = Sequence[Folder] | Callable[[str], Awaitable[Sequence[Folder]]]


class GroupOptions(TypedDict, total=False):
    """The options of `trimcp.connect` that are the same for a group, and for one of its members."""

    revision: str | None
    timeouts: Timeouts | None
    limits: Limits | None
    name: str
    version: str
    sampling_tools: bool
    log_level: LoggingLevel | None
    cache: bool
    extensions: Sequence[ClientExtension]
    headers: Mapping[str, str] | None
    http_client: httpx2.AsyncClient | None
    transport: Literal["http", "sse"] | None
    reopen: bool
    env: Mapping[str, str] | None
    inherit_env: bool
    cwd: str | os.PathLike[str] | None


class ConnectOptions(GroupOptions, total=False):
    """The options of `trimcp.connect`, which says what they are."""

    sampling: Sampling | None
    elicitation: Elicitation | None
    visit: Visit | None
    roots: RootsSource | None
    consent: Consent | None
    auth: Auth | None
    on_stderr: Callable[[str], None] | None


@attrs.frozen(kw_only=True)
class GroupFunctions:
    """The functions of a group; each takes the name of the member first, then what `connect`'s takes."""

    sampling: GroupSampling | None = None
    elicitation: GroupElicitation | None = None
    visit: GroupVisit | None = None
    roots: GroupRoots | None = None
    consent: GroupConsent | None = None
    on_stderr: Callable[[str, str], None] | None = None

    def of(self, server: str) -> dict[str, Any]:
        """The same as options of `connect`, for one member."""
        options: dict[str, Any] = {}
        for field in attrs.fields(type(self)):
            given = getattr(self, field.name)
            if given is not None:
                options[field.name] = functools.partial(given, server) if callable(given) else given
        return options


def ask_in_turn(options: dict[str, Any], elicitation: ElicitationActor) -> None:
    """Have the functions among the options that ask the user open one dialog after the other, over all members."""
    for name in ("elicitation", "visit"):
        if options.get(name) is not None:
            options[name] = functools.partial(_asked, elicitation, options[name])
    if options.get("consent") is not None:
        options["consent"] = functools.partial(_asked_for_consent, elicitation, options["consent"])


async def _asked(elicitation: ElicitationActor, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    return await elicitation.ask(functools.partial(function, *args))


async def _asked_for_consent(elicitation: ElicitationActor, function: Consent, method: str, params: Asked) -> bool:
    if method == "elicitation/create":
        return await elicitation.ask(functools.partial(function, method, params))
    return await function(method, params)


def check_options(options: Mapping[str, Any]) -> None:
    """
    Raises:
        UsageError: `connect` has no such option.
    """
    from trimcp.client.connect import connect

    unknown = options.keys() - inspect.signature(connect).parameters.keys() | options.keys() & {"target"}
    if unknown:
        raise UsageError(f"trimcp.connect has no option {', '.join(sorted(unknown))}")
