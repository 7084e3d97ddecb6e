"""Decides which changes a client gets: by the features of the server, the bounds, and the functions of the user.

The functions of the user are `@server.may_subscribe`, and the topics of extensions. They run in a worker of the run. No
other client depends on that worker, so a function that raises, or leaves a scope open, fails only its own request.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from trimcp.actors.reply import Reply
from trimcp.codec.jsontext import dumps
from trimcp.errors import InvalidParams, InvalidResult, RequestFailed
from trimcp.observability import events, log
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.features import Feature
from trimcp.server.features.subscriptions.notices import LISTS, LONGEST_ID, Watched
from trimcp.session.refusals import retry_data
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import BUSY, INTERNAL_ERROR

if TYPE_CHECKING:
    import trio

    from trimcp.limits import Limits
    from trimcp.types.revisions import Revision
    from trimcp.types.subscriptions import SubscriptionFilter


class Topics(Protocol):
    """The extensions of a server, as far as they have topics for listens."""

    async def granted(self, ctx: Any, revision: Revision, asked: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the keys that a listen gets, by topic. Calls functions of the user."""
        ...

    def listen_opened(self, ctx: Any, topics: Mapping[str, Sequence[str]]) -> None:
        """Take note that a listen was acknowledged with these keys. Never waits."""
        ...


class Declared(Protocol):
    """The declarations of a server that subscriptions depend on."""

    @property
    def limits(self) -> Limits:
        """The limits of the server."""
        ...

    @property
    def subscribing(self) -> Callable[[str, Any], bool] | None:
        """The function of the user that decides who may subscribe to which URI."""
        ...

    @property
    def extensions(self) -> Topics | None:
        """The extensions that the server uses."""
        ...

    def has(self, feature: Feature, /) -> bool:
        """Whether the server has a feature."""
        ...


@attrs.frozen(eq=False, repr=False)
class GrantedListen:
    """The changes that one listen gets."""

    filter: SubscriptionFilter
    lists: tuple[Feature, ...]
    watched: tuple[Watched, ...]


class SubscriptionGrants:
    """Decides about the subscriptions of one run of a server."""

    def __init__(self, declared: Declared, run: ContextRun) -> None:
        self._declared = declared
        self._run = run

    def offers(self, feature: Feature) -> bool:
        """Whether the server has a feature."""
        return self._declared.has(feature)

    def check_uris(self, uris: Iterable[str]) -> None:
        """
        Raises:
            InvalidParams: a URI, or a key of a topic, is too long.
        """
        most = self._declared.limits.uri_bytes
        if any(len(uri) > most or len(dumps(uri)) - len('""') > most for uri in uris):
            raise InvalidParams(f"URI too long: subscribe to URIs of at most {most} bytes", {"maxBytes": most})

    def check_may_subscribe(self, request: InboundRequest, uri: str) -> None:
        """Ask the function of the user whether the client may subscribe to a resource.

        Raises:
            InvalidParams: the client may not.
            BaseException: the function raised it, or returned no bool.
        """
        may = self._declared.subscribing
        if may is not None and not _answer(may, uri, Context(request, self._run)):
            raise InvalidParams(f"This client may not subscribe to {uri}", {"uri": uri})

    @property
    def calls_user_about_uris(self) -> bool:
        """Whether a function of the user decides who may subscribe to which URI."""
        return self._declared.subscribing is not None

    # --- listens ----------------------------------------------------------------------

    def check(self, request: InboundRequest, wanted: SubscriptionFilter) -> int:
        """Check the bounds of a listen, and return the number of its URIs and keys. Calls no function of the user.

        Raises:
            InvalidParams: the id or a URI is too long.
        """
        if len(dumps(request.id)) > LONGEST_ID:
            raise InvalidParams(f"Id of a listen too long: use at most {LONGEST_ID} bytes")
        uris = self._uris(wanted)
        self.check_uris(uris or ())
        keys = sum(len(asked) for asked in wanted.extra.values() if isinstance(asked, list)) if wanted.extra else 0
        return keys if uris is None else keys + len(uris)

    def calls_user(self, wanted: SubscriptionFilter) -> bool:
        """Whether `grant` calls functions of the user for this filter."""
        if self.calls_user_about_uris and self._uris(wanted):
            return True
        return self._declared.extensions is not None and bool(wanted.extra)

    async def topics(self, request: InboundRequest, wanted: SubscriptionFilter) -> dict[str, list[str]]:
        """Ask the functions of extensions, which may wait, for the keys that a listen gets, by topic.

        Raises:
            InvalidParams: a key is too long, or not a string.
            BaseException: a function raised it.
        """
        if self._declared.extensions is None or not wanted.extra:
            return {}
        context = Context(request, self._run)
        topics = await self._declared.extensions.granted(context, request.revision, wanted.extra)
        self.check_uris(key for keys in topics.values() for key in keys)
        return topics

    def opened(self, request: InboundRequest, topics: Mapping[str, Sequence[str]]) -> None:
        """Tell extensions that a listen was acknowledged. Never waits."""
        if topics and self._declared.extensions is not None:
            self._declared.extensions.listen_opened(Context(request, self._run), topics)

    def grant(
        self, request: InboundRequest, wanted: SubscriptionFilter, topics: Mapping[str, list[str]]
    ) -> GrantedListen:
        """Grant the wanted changes that the server has and the functions of the user allow.

        Args:
            request: the listen.
            wanted: what it asks for.
            topics: the keys that it gets, by topic.

        Raises:
            BaseException: a function of the user raised it, or returned no bool.
        """
        from trimcp.types.subscriptions import SubscriptionFilter

        uris = self._uris(wanted)
        may = self._declared.subscribing
        if uris and may is not None:
            context = Context(request, self._run)
            uris = [uri for uri in uris if _answer(may, uri, context)]
        granted = SubscriptionFilter(
            tools_list_changed=(wanted.tools_list_changed and self.offers("tools")) or None,
            prompts_list_changed=(wanted.prompts_list_changed and self.offers("prompts")) or None,
            resources_list_changed=(wanted.resources_list_changed and self.offers("resources")) or None,
            resource_subscriptions=uris,
        )
        granted.extra = dict(topics)
        keys = [(topic, key) for topic, keys in topics.items() for key in keys]
        flags = (granted.tools_list_changed, granted.prompts_list_changed, granted.resources_list_changed)
        lists: tuple[Feature, ...] = tuple(feature for feature, on in zip(LISTS, flags, strict=True) if on)
        return GrantedListen(granted, lists, (*(uris or ()), *keys))

    def _uris(self, wanted: SubscriptionFilter) -> list[str] | None:
        """Return the URIs of a filter, each once; None if the filter or the server has none."""
        uris = wanted.resource_subscriptions
        return None if uris is None or not self.offers("resources") else list(dict.fromkeys(uris))


def _answer(may: Callable[[str, Any], bool], uri: str, context: Any) -> bool:
    """Call a function of the user.

    Raises:
        InvalidResult: the function returned no bool. A coroutine, for example, would grant everything.
    """
    answer: Any = may(uri, context)
    if answer is True or answer is False:
        return bool(answer)
    if inspect.iscoroutine(answer):
        answer.close()
    raise InvalidResult([f"the function under @server.may_subscribe returned a {type(answer).__name__}: return a bool"])


def busy(problem: str) -> RequestFailed:
    """Make the error for a subscription that has no room."""
    return RequestFailed(BUSY, f"Busy: {problem}", retry_data("busy"))


# --- in a worker ----------------------------------------------------------------------


class TakesGrants(Protocol):
    """The SubscriptionBus, as approvals reach it."""

    def listen_granted(self, request: InboundRequest, granted: GrantedListen) -> None:
        """Acknowledge a listen."""
        ...

    def subscription_granted(self, request: InboundRequest, uri: str, reply: Reply[None]) -> None:
        """Add the subscription of a legacy session, and set the reply."""
        ...


class Approval(abc.ABC):
    """`Work` of a pool: asks the functions of the user about one request."""

    def __init__(self, request: InboundRequest, grants: SubscriptionGrants, bus: TakesGrants) -> None:
        self.scope: trio.CancelScope | None = None
        self._request = request
        self._grants = grants
        self._bus = bus

    @abc.abstractmethod
    async def run(self) -> None:
        """Ask the functions of the user."""

    @abc.abstractmethod
    def _refuse(self, error: RequestFailed) -> None:
        """Answer the request with an error."""

    @abc.abstractmethod
    def finished(self) -> bool:
        """Tell the bus the answer, unless `failed` was called before."""

    def failed(self, error: BaseException) -> None:
        """Refuse the request. Can come after `run`, if that has left a scope open."""
        if isinstance(error, RequestFailed):
            self._refuse(error)
            return
        self._refuse(RequestFailed(INTERNAL_ERROR, "Internal error"))
        log.error(events.HANDLER_FAILED, exc_info=error, method=self._request.method, request=self._request.serial)

    def left(self) -> None:  # noqa: B027 - there is no place to give back
        """See `Work`."""

    def handed_back(self) -> None:
        """Refuse the request: the run is over."""
        self._refuse(busy("the server is stopping"))


class ListenApproval(Approval):
    """Asks which part of a `subscriptions/listen` is granted."""

    def __init__(
        self, request: InboundRequest, wanted: SubscriptionFilter, grants: SubscriptionGrants, bus: TakesGrants
    ) -> None:
        super().__init__(request, grants, bus)
        self._wanted = wanted
        self._topics: dict[str, list[str]] = {}
        self._granted: GrantedListen | None = None

    async def run(self) -> None:
        """Ask the functions of the user. See `Approval`."""
        if not self._request.is_settled:
            self._topics = await self._grants.topics(self._request, self._wanted)
            self._granted = self._grants.grant(self._request, self._wanted, self._topics)

    def _refuse(self, error: RequestFailed) -> None:
        self._granted = None
        self._request.refuse_failed(error)

    def finished(self) -> bool:
        """Tell the bus the answer. See `Approval`."""
        if self._granted is not None:
            self._bus.listen_granted(self._request, self._granted)
            self._grants.opened(self._request, self._topics)
        return False


class SubscribeApproval(Approval):
    """Asks whether a `resources/subscribe` is granted."""

    def __init__(
        self, request: InboundRequest, uri: str, reply: Reply[None], grants: SubscriptionGrants, bus: TakesGrants
    ) -> None:
        super().__init__(request, grants, bus)
        self._uri = uri
        self._reply = reply

    async def run(self) -> None:
        """Ask the functions of the user. See `Approval`."""
        self._grants.check_may_subscribe(self._request, self._uri)

    def _refuse(self, error: RequestFailed) -> None:
        self._reply.fail(error)

    def finished(self) -> bool:
        """Tell the bus the answer. See `Approval`."""
        if not self._reply.is_set:
            self._bus.subscription_granted(self._request, self._uri, self._reply)
        return False
