"""Decides what a client is told of: the features that the server has, the bounds, and the functions of the user.

The functions of the user are `@server.may_subscribe`, and the topics of extensions. They are called in a worker, where
a failure ends the one request that they were called for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from trimcp.codec.jsontext import dumps
from trimcp.errors import InvalidParams, InvalidResult
from trimcp.server.features.subscriptions.listener import LISTS, LONGEST_ID, Watched
from trimcp.session.request import InboundRequest

if TYPE_CHECKING:
    from trimcp.server.features.kinds import Kind
    from trimcp.session.limits import Limits
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionFilter


class Topics(Protocol):
    """The extensions of a server, as far as they have topics to listen to."""

    def granted(self, ctx: Any, revision: Revision, asked: Mapping[str, Any]) -> dict[str, list[str]]:
        """The keys that a listen is told of, by topic. Calls functions of the user."""
        ...


class Declared(Protocol):
    """The declarations of a server that subscriptions depend on."""

    @property
    def limits(self) -> Limits: ...

    @property
    def subscribing(self) -> Callable[[str, Any], bool] | None:
        """The user's function that says who may subscribe to which URI."""
        ...

    @property
    def extensions(self) -> Topics | None: ...

    def has(self, kind: Kind, /) -> bool:
        """Whether the server has a feature."""
        ...


@attrs.frozen
class Granted:
    """The changes that one listen will be told of."""

    filter: SubscriptionFilter
    kinds: tuple[Kind, ...]
    watched: tuple[Watched, ...]


class Grants:
    """The rules of one run of a server."""

    def __init__(self, declared: Declared, context: Callable[[InboundRequest], Any]) -> None:
        """`context` makes the context of a request, for the functions of the user."""
        self._declared = declared
        self._context = context

    def offers(self, kind: Kind) -> bool:
        """Whether the server has a feature."""
        return self._declared.has(kind)

    def check_uris(self, uris: Iterable[str]) -> None:
        """
        Raises:
            InvalidParams: a URI, or a key of a topic, is too long.
        """
        most = self._declared.limits.uri_bytes
        if any(len(uri) > most or len(dumps(uri)) - len('""') > most for uri in uris):
            raise InvalidParams(f"A URI to subscribe to must not be longer than {most} bytes", {"maxBytes": most})

    def check_may_subscribe(self, request: InboundRequest, uri: str) -> None:
        """Ask the user's function whether the client may subscribe to a resource.

        Raises:
            InvalidParams: it may not.
            BaseException: the function raised it, or returned no bool.
        """
        may = self._declared.subscribing
        if may is not None and not _answer(may, uri, self._context(request)):
            raise InvalidParams(f"This client may not subscribe to {uri}", {"uri": uri})

    @property
    def calls_user_about_uris(self) -> bool:
        """Whether there is a function of the user that says who may subscribe to which URI."""
        return self._declared.subscribing is not None

    # --- listens ----------------------------------------------------------------------

    def check(self, request: InboundRequest, wanted: SubscriptionFilter) -> int:
        """Check the bounds of a listen before any function of the user is called. Returns how many URIs it names.

        Raises:
            InvalidParams: the id or a URI is too long.
        """
        if len(dumps(request.id)) > LONGEST_ID:
            raise InvalidParams(f"The id of a listen must not be longer than {LONGEST_ID} bytes")
        uris = self._uris(wanted)
        self.check_uris(uris or ())
        return 0 if uris is None else len(uris)

    def calls_user(self, wanted: SubscriptionFilter) -> bool:
        """Whether `grant` calls functions of the user for this filter."""
        if self.calls_user_about_uris and self._uris(wanted):
            return True
        return self._declared.extensions is not None and bool(wanted.extra)

    def grant(self, request: InboundRequest, wanted: SubscriptionFilter) -> Granted:
        """Grant what the server has and the functions of the user allow, of the changes that a client wants.

        Raises:
            InvalidParams: a key of a topic is too long, or not a string.
            BaseException: a function of the user raised it, or returned no bool.
        """
        from trimcp.types.subscriptions import SubscriptionFilter

        uris = self._uris(wanted)
        may = self._declared.subscribing
        if uris and may is not None:
            context = self._context(request)
            uris = [uri for uri in uris if _answer(may, uri, context)]
        granted = SubscriptionFilter(
            tools_list_changed=(wanted.tools_list_changed and self.offers("tools")) or None,
            prompts_list_changed=(wanted.prompts_list_changed and self.offers("prompts")) or None,
            resources_list_changed=(wanted.resources_list_changed and self.offers("resources")) or None,
            resource_subscriptions=uris,
        )
        topics: dict[str, list[str]] = {}
        if self._declared.extensions is not None and wanted.extra:
            topics = self._declared.extensions.granted(self._context(request), request.revision, wanted.extra)
            granted.extra = dict(topics)
        keys = [(topic, key) for topic, keys in topics.items() for key in keys]
        self.check_uris(key for _, key in keys)
        flags = (granted.tools_list_changed, granted.prompts_list_changed, granted.resources_list_changed)
        kinds: tuple[Kind, ...] = tuple(kind for kind, on in zip(LISTS, flags, strict=True) if on)
        return Granted(granted, kinds, (*(uris or ()), *keys))

    def _uris(self, wanted: SubscriptionFilter) -> list[str] | None:
        """The URIs of a filter, each once; None where it names none, or the server has no resources."""
        uris = wanted.resource_subscriptions
        return None if uris is None or not self.offers("resources") else list(dict.fromkeys(uris))


def _answer(may: Callable[[str, Any], bool], uri: str, context: Any) -> bool:
    """Ask a user's function.

    Raises:
        InvalidResult: it returned no bool: a coroutine, for example, would be a yes to everything.
    """
    answer: Any = may(uri, context)
    if answer is True or answer is False:
        return bool(answer)
    if inspect.iscoroutine(answer):
        answer.close()
    raise InvalidResult([f"the function under @server.may_subscribe returned a {type(answer).__name__}: return a bool"])
