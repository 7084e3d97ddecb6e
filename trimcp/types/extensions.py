"""Extensions as both sides declare them: identifiers, and their additions to the protocol, as data.

An extension adds requests, notifications and results; `trimcp.server.server_extension` and
`trimcp.client.extension` bind a program's functions to these declarations. The code of neither side
knows an extension by name.

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
"""The member of the capabilities that declares extensions.

Only 2026-07-28 has it in its schema. In older revisions it is an additional capability, which every
revision allows, as SEP-2133 defines.
"""

TOPICS_OF_THE_CORE: Final = frozenset(
    ("toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions")
)
"""The members of the filter of `subscriptions/listen` that 2026-07-28 defines."""


def check_identifier(identifier: str) -> str:
    """Return the identifier, if it is valid.

    Raises:
        UsageError: it is not `prefix/name`, by the rules for keys of `_meta` (basic/index), with the
            prefix that extensions must have.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise UsageError(
            f"Invalid extension identifier {identifier!r}: write a domain of yours backwards, a slash and a name, "
            "such as com.example/my-extension"
        )
    return identifier


def check_topic(member: str) -> None:
    """Check that a topic of an extension is not a topic of the core.

    Raises:
        UsageError: it is one.
    """
    if member in TOPICS_OF_THE_CORE:
        raise UsageError(f"the topic {member} belongs to the core: choose another name")


def revisions_of(versions: Sequence[str] | None) -> tuple[Revision, ...]:
    """Return the revisions of these versions, oldest first; None stands for all.

    Raises:
        UsageError: a version is unknown, or the list is empty.
    """
    if versions is None:
        return REVISIONS
    unknown = [version for version in versions if version not in BY_VERSION]
    if unknown or not versions or isinstance(versions, str):
        raise UsageError(f"an extension needs a list of revisions out of {', '.join(BY_VERSION)}, not {versions!r}")
    return tuple(revision for revision in REVISIONS if revision.version in versions)


@attrs.frozen
class ExtensionMethod(Generic[P, R]):
    """A request that an extension adds to the protocol.

        GET = ExtensionMethod("tasks/get", TaskParams, TaskResult)

    Its params are a class derived from `trimcp.types.RequestParams`, its result one from
    `trimcp.types.Result`: attrs classes whose fields are checked as those of the core are, and
    written in camelCase. `dict` in place of a class stands for the raw JSON object.
    """

    name: str
    """The name of the method on the wire."""
    params: type[P]
    """The class of its params."""
    result: type[R]
    """The class of its result."""
    sender: Side = attrs.field(default="client", kw_only=True)
    """The side that sends it. A server can send requests only in the legacy era."""
    revisions: Sequence[str] | None = attrs.field(default=None, kw_only=True)
    """The revisions that have it; None for all revisions of its extension."""
    cancellable: bool = attrs.field(default=True, kw_only=True)
    """Whether its sender may cancel it."""
    takes_place: bool = attrs.field(default=True, kw_only=True)
    """Whether it counts among the requests in flight. Otherwise a function that is not async answers it at
    once, even if all places are taken."""
    default_deadline: float | None = attrs.field(default=DEFAULT_DEADLINE, kw_only=True)
    """None for a request without a deadline; otherwise the timeouts of the client apply."""
    asks: bool = attrs.field(default=False, kw_only=True)
    """Whether its result may be `input_required` (2026-07-28)."""
    needs_declared: bool = attrs.field(default=True, kw_only=True)
    """Whether its sender must have declared the extension. Otherwise the request is refused: with -32021
    and `requiredCapabilities` in 2026-07-28, as an unknown method (-32601) in older revisions."""
    named_by: str | None = attrs.field(default=None, kw_only=True)
    """The member of the params that the `Mcp-Name` header mirrors over HTTP, if there is one."""

    def exists_in(self, revision: Revision) -> bool:
        """Tell whether the revision has it."""
        return self.revisions is None or revision.version in self.revisions

    def row(self) -> Method:
        """Return the method as a row of the table of methods."""
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
    """The side that sends it. A client sends no notifications in 2026-07-28."""
    revisions: Sequence[str] | None = attrs.field(default=None, kw_only=True)
    """The revisions that have it; None for all revisions of its extension."""

    def exists_in(self, revision: Revision) -> bool:
        """Tell whether the revision has it."""
        return self.revisions is None or revision.version in self.revisions


@attrs.frozen
class ExtensionResult(Generic[R]):
    """A further result of core methods, with a `resultType` of its own (basic/index of 2026-07-28, "ResultType").

    The class is derived from `trimcp.types.Result`, and has the tag:

        @attrs.define
        class CreateTaskResult(trimcp.types.Result):
            result_type: ClassVar[str | None] = "task"
            task_id: str

    Revisions before 2026-07-28 have no tags, so the result does not exist there.
    """

    result: type[R]
    methods: Sequence[str]
    """The core requests that may have this result, for example `["tools/call"]`."""

    @property
    def tag(self) -> str:
        """The `resultType`.

        Raises:
            UsageError: the class has none, or one of the core.
        """
        tag = getattr(self.result, "result_type", None)
        if not isinstance(tag, str) or tag in ("complete", "input_required"):
            raise UsageError(f"{self.result.__name__} needs a ClassVar result_type with a tag of its own, not {tag!r}")
        return tag


def declared_in(capabilities: ClientCapabilities | ServerCapabilities) -> Mapping[str, Mapping[str, Any]]:
    """Return the extensions that a peer declared: settings by identifier, unknown extensions included."""
    if capabilities.extensions is not None:
        return capabilities.extensions
    declared = capabilities.extra.get(MEMBER)  # before 2026-07-28, whose schemas do not check it
    if not isinstance(declared, dict):
        return {}
    return {identifier: settings for identifier, settings in declared.items() if isinstance(settings, dict)}


def declare(
    capabilities: ClientCapabilities | ServerCapabilities, revision: Revision, settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add the settings of extensions to the capabilities for a revision."""
    if not settings:
        return
    written = {identifier: dict(values) for identifier, values in settings.items()}
    if revision.result_type:
        capabilities.extensions = written
    else:
        capabilities.extra = {**capabilities.extra, MEMBER: written}
