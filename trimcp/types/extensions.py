"""Extensions as both sides declare them: identifiers, and what one adds to the protocol, as data.

An extension adds requests, notifications and results; what a program does with them is bound to
these declarations by `trimcp.server.extension` and `trimcp.client.extension`. Neither side's code
knows any extension by name.

SEP-2133; basic/versioning, "Extension Negotiation", of 2026-07-28.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from trimcp.errors import UsageError
from trimcp.types.methods import DEFAULT_DEADLINE, Method, Side
from trimcp.types.revisions import BY_VERSION, REVISIONS, Revision

if TYPE_CHECKING:
    from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities

P = TypeVar("P")
R = TypeVar("R")

_LABEL: Final = r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_IDENTIFIER: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

MEMBER: Final = "extensions"
"""The member of the capabilities that declares extensions. Only 2026-07-28 has it in its schema; before, it is one
of the further capabilities that every revision lets a peer declare, and SEP-2133 puts it there."""


TOPICS_OF_THE_CORE: Final = frozenset(
    ("toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions")
)
"""The members of what `subscriptions/listen` asks for in 2026-07-28 itself."""


def check_identifier(identifier: str) -> str:
    """The identifier itself.

    Raises:
        UsageError: it is not `prefix/name`, by the rules for keys of `_meta` (basic/index), with the prefix that
            extensions must have.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise UsageError(
            f"{identifier!r} identifies no extension: write a domain of yours backwards, a slash and a name, "
            "such as com.example/my-extension"
        )
    return identifier


def check_topic(member: str) -> None:
    """
    Raises:
        UsageError: the core itself has that member in what a listen asks for.
    """
    if member in TOPICS_OF_THE_CORE:
        raise UsageError(f"there is a topic {member} already: it is the core's")


def revisions_of(versions: Sequence[str] | None) -> tuple[Revision, ...]:
    """The revisions of these versions, oldest first; all, if None.

    Raises:
        UsageError: there is no such revision, or none at all is given.
    """
    if versions is None:
        return REVISIONS
    unknown = [version for version in versions if version not in BY_VERSION]
    if unknown or not versions or isinstance(versions, str):
        raise UsageError(f"an extension needs a list of revisions, of {', '.join(BY_VERSION)}; not {versions!r}")
    return tuple(revision for revision in REVISIONS if revision.version in versions)


@attrs.frozen
class ExtensionMethod(Generic[P, R]):
    """A request that an extension adds to the protocol.

        GET = ExtensionMethod("tasks/get", TaskParams, TaskResult)

    Its params are a class derived from `trimcp.types.RequestParams`, its result one from
    `trimcp.types.Result`: attrs classes whose fields are checked as those of the core are, and
    written in camelCase. `dict` in place of either stands for the raw JSON object.
    """

    name: str
    """The method, as it stands on the wire."""
    params: type[P]
    """The class of its params."""
    result: type[R]
    """The class of its result."""
    sender: Side = attrs.field(default="client", kw_only=True)
    """Who sends it. A server can in the legacy era alone."""
    revisions: Sequence[str] | None = attrs.field(default=None, kw_only=True)
    """The revisions that have it; None for all that its extension is for."""
    cancellable: bool = attrs.field(default=True, kw_only=True)
    """Whether its sender may cancel it."""
    takes_place: bool = attrs.field(default=True, kw_only=True)
    """Whether it counts among the requests in flight. One that does not is answered at once, also where all places
    are taken, by a function that is not async."""
    default_deadline: float | None = attrs.field(default=DEFAULT_DEADLINE, kw_only=True)
    """None for a request that its caller waits for as long as it takes; else the timeouts of the client hold."""
    asks: bool = attrs.field(default=False, kw_only=True)
    """Whether it may be answered with questions to the client (`input_required`, 2026-07-28)."""
    needs_declared: bool = attrs.field(default=True, kw_only=True)
    """Whether it is answered only where its sender declared the extension. Otherwise it is refused: with -32021 and
    `requiredCapabilities` in 2026-07-28, and before that as a method that is not there (-32601)."""
    named_by: str | None = attrs.field(default=None, kw_only=True)
    """The member of the params that stands in the `Mcp-Name` header over HTTP, if one does."""

    def exists_in(self, revision: Revision) -> bool:
        """Whether the revision is one of its own, where it has any."""
        return self.revisions is None or revision.version in self.revisions

    def row(self) -> Method:
        """The same as a row of the table of methods."""
        return Method(
            self.name,
            "request",
            self.sender,
            f"{self.params.__module__}.{self.params.__qualname__}",
            f"{self.result.__module__}.{self.result.__qualname__}",
            cancellable=self.cancellable,
            takes_place=self.takes_place,
            default_deadline=self.default_deadline,
            asks=self.asks,
        )


@attrs.frozen
class ExtensionNotification(Generic[P]):
    """A notification that an extension adds to the protocol.

    Its params are a class derived from `trimcp.types.NotificationParams`, or `dict` for the raw object.
    """

    name: str
    params: type[P]
    sender: Side = attrs.field(default="server", kw_only=True)
    """Who sends it. A client sends none in 2026-07-28."""
    revisions: Sequence[str] | None = attrs.field(default=None, kw_only=True)
    """The revisions that have it; None for all that its extension is for."""

    def exists_in(self, revision: Revision) -> bool:
        """Whether the revision is one of its own, where it has any."""
        return self.revisions is None or revision.version in self.revisions


@attrs.frozen
class ExtensionResult(Generic[R]):
    """A further way for the core to answer: its own `resultType` (basic/index of 2026-07-28, "ResultType").

    The class is derived from `trimcp.types.Result`, and names the tag:

        @attrs.define
        class CreateTaskResult(trimcp.types.Result):
            result_type: ClassVar[str | None] = "task"
            task_id: str

    No revision before 2026-07-28 has such tags, so nothing of it applies there.
    """

    result: type[R]
    methods: Sequence[str]
    """The requests of the core that may be answered so, such as `["tools/call"]`."""

    @property
    def tag(self) -> str:
        """The `resultType`.

        Raises:
            UsageError: the class has none, or one of the core's.
        """
        tag = getattr(self.result, "result_type", None)
        if not isinstance(tag, str) or tag in ("complete", "input_required"):
            raise UsageError(f"{self.result.__name__} needs a result_type of its own, a ClassVar, not {tag!r}")
        return tag


def declared_in(capabilities: ClientCapabilities | ServerCapabilities) -> Mapping[str, Mapping[str, Any]]:
    """What a peer declared of extensions: settings by identifier, those that nobody here knows included."""
    if capabilities.extensions is not None:
        return capabilities.extensions
    said = capabilities.extra.get(MEMBER)  # before 2026-07-28, where no schema has checked it
    if not isinstance(said, dict):
        return {}
    return {identifier: settings for identifier, settings in said.items() if isinstance(settings, dict)}


def declare(
    capabilities: ClientCapabilities | ServerCapabilities, revision: Revision, settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add the settings of extensions to the capabilities that are told in a revision."""
    if not settings:
        return
    written = {identifier: dict(values) for identifier, values in settings.items()}
    if revision.result_type:
        capabilities.extensions = written
    else:
        capabilities.extra = {**capabilities.extra, MEMBER: written}
