"""The scopes that requests need: those of the tool, resource or prompt that a request is for.

Over HTTP the resource server asks before the head of the response is sent, and refuses with 403. Every request is
judged once more before its handler runs, which is what protects WebSocket and HTTP+SSE.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import InvalidParams, RequestFailed
from trimcp.limits import Limits
from trimcp.server.features import Feature
from trimcp.session.delivery import Delivery
from trimcp.session.request import InboundRequest, LongLived
from trimcp.types.jsonrpc import INSUFFICIENT_SCOPE
from trimcp.types.payload import CacheableResult

Handle = Callable[[InboundRequest, Any], Awaitable[Any]]
NONE: Final[frozenset[str]] = frozenset()
LISTEN: Final = "subscriptions/listen"


class ProvidedScopes(Protocol):
    """The providers of a server, as far as scopes depend on them."""

    def scopes(self, feature: Feature, key: str) -> frozenset[str]:
        """Return the scopes that an item of the providers needs, by its name or URI."""
        ...


class Declared(Protocol):
    """The declarations of a server that scopes depend on."""

    limits: Limits
    declares_scopes: bool
    """Whether any tool, resource or prompt has scopes."""

    @property
    def tools(self) -> Any:
        """The registry of tools."""
        ...

    @property
    def resources(self) -> Any:
        """The registry of resources, made when it is first used."""
        ...

    @property
    def prompts(self) -> Any:
        """The registry of prompts, made when it is first used."""
        ...

    @property
    def providers(self) -> ProvidedScopes:
        """The providers of the server."""
        ...

    def count(self, feature: Feature) -> int:
        """Count the declarations of a feature."""
        ...


class Scoped(Protocol):
    """A tool, resource or prompt."""

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that it needs."""
        ...


S = TypeVar("S", bound=Scoped)


def permits(delivery: Delivery, scopes: frozenset[str]) -> bool:
    """Whether the sender of a request has scopes. Where a transport knows no senders, all is permitted."""
    if not scopes or delivery.is_local:
        return True
    return delivery.principal is not None and scopes <= delivery.principal.scopes


def visible(delivery: Delivery, items: Mapping[str, S]) -> Mapping[str, S]:
    """Return the declared items of a list that a sender may know of."""
    if not delivery.hides_forbidden:
        return items
    return {key: item for key, item in items.items() if permits(delivery, item.scopes)}


class Access:
    """The scopes of the operations of one server."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._rules: Mapping[str, Callable[[Mapping[str, Any]], frozenset[str]]] = {
            "tools/call": lambda params: self._of_tool(params.get("name")),
            "prompts/get": lambda params: self._of_prompt(params.get("name")),
            "resources/read": lambda params: self._of_resource(params.get("uri")),
            "resources/subscribe": lambda params: self._of_resource(params.get("uri")),
            "completion/complete": lambda params: self._of_reference(params.get("ref")),
            LISTEN: lambda params: self._of_listen(params.get("notifications")),
        }

    def needed(self, method: str, params: Mapping[str, Any] | None) -> frozenset[str]:
        """Return the scopes that one operation needs, by its method and its params as they came."""
        rule = self._rules.get(method) if self._declared.declares_scopes else None
        return NONE if rule is None or params is None else rule(params)

    def needed_by(self, body: bytes) -> frozenset[str]:
        """Return the scopes of all operations in the body of an HTTP request: a message, or a batch."""
        if not self._declared.declares_scopes or not body:
            return NONE
        try:
            # As HTTP+SSE feeds it to the session: one line.
            value = loads(body.replace(b"\n", b" ").replace(b"\r", b" "), max_depth=self._declared.limits.json_depth)
        except InvalidJson:
            return NONE  # it is refused for that
        messages = value if isinstance(value, list) else [value]
        found = [self._of_message(message) for message in messages if isinstance(message, dict)]
        return NONE.union(*found)

    def _of_message(self, message: Mapping[str, Any]) -> frozenset[str]:
        method, params = message.get("method"), message.get("params")
        return self.needed(method, params) if isinstance(method, str) and isinstance(params, dict) else NONE

    # --- of one feature ---------------------------------------------------------------

    def _of_tool(self, name: object) -> frozenset[str]:
        return self._of("tools", name, self._declared.tools.catalog.get)

    def _of_prompt(self, name: object) -> frozenset[str]:
        declares = self._declared.count("prompts")
        return self._of("prompts", name, self._declared.prompts.catalog.get if declares else None)

    def _of_resource(self, uri: object) -> frozenset[str]:
        def find(uri: str) -> Scoped | None:
            found: tuple[Scoped, Any] | None = self._declared.resources.catalog.find(uri)
            return None if found is None else found[0]

        return self._of("resources", uri, find if self._declared.count("resources") else None)

    def _of_reference(self, ref: object) -> frozenset[str]:
        def find(uri: str) -> Scoped | None:
            catalog = self._declared.resources.catalog
            template: Scoped | None = catalog.templates.get(uri) or catalog.matching(uri)
            return template

        if not isinstance(ref, dict):
            return NONE
        of_template = self._of("resources", ref.get("uri"), find if self._declared.count("resources") else None)
        return self._of_prompt(ref.get("name")) | of_template

    def _of(self, feature: Feature, key: object, declared: Callable[[str], Scoped | None] | None) -> frozenset[str]:
        """Return the scopes of a declared item; where none has that key, those by the providers."""
        if not isinstance(key, str):
            return NONE
        found = None if declared is None else declared(key)
        return self._declared.providers.scopes(feature, key) if found is None else found.scopes

    def _of_listen(self, wanted: object) -> frozenset[str]:
        uris = wanted.get("resourceSubscriptions") if isinstance(wanted, dict) else None
        return self.of_resources(uris) if isinstance(uris, list) else NONE

    def of_resources(self, uris: Sequence[object]) -> frozenset[str]:
        """Return the scopes that several resources need together."""
        return NONE.union(*map(self._of_resource, uris)) if self._declared.declares_scopes else NONE

    # --- a request --------------------------------------------------------------------

    def check(self, request: InboundRequest) -> frozenset[str]:
        """Judge a request before its handler runs; return the scopes that it needs.

        Raises:
            RequestFailed: its sender lacks one; in words of an unknown feature where those are hidden.
        """
        scopes = self.needed(request.method, request.params)
        check_permitted(request, scopes)
        return scopes

    def judged(self, handle: Handle, *, is_cacheable: bool) -> Handle:
        """Return a handler that runs for permitted requests alone, and has what depends on scopes kept privately."""

        def judge(request: InboundRequest, params: Any) -> Any:
            if not self._declared.declares_scopes:
                return handle(request, params)
            scopes = self.check(request)
            if is_cacheable and (scopes or request.delivery.hides_forbidden):
                return _private(handle, request, params)
            return handle(request, params)

        return judge


def check_permitted(request: InboundRequest, scopes: frozenset[str]) -> None:
    """Judge a request that needs scopes.

    Raises:
        RequestFailed: its sender lacks one; in words of an unknown feature where those are hidden.
    """
    if not permits(request.delivery, scopes):
        if request.delivery.hides_forbidden:
            raise _unknown(request)
        data = {"reason": "insufficient_scope", "scopes": sorted(scopes)}
        raise RequestFailed(INSUFFICIENT_SCOPE, f"Insufficient scope: {' '.join(sorted(scopes))}", data)


async def _private(handle: Handle, request: InboundRequest, params: Any) -> Any:
    result = await handle(request, params)
    if isinstance(result, CacheableResult):
        result.cache_scope = "private"
    return result


class JudgedListens:
    """Keeps listens that are permitted, and refuses the others. See `LongLived`."""

    def __init__(self, keeper: LongLived, access: Access) -> None:
        self._keeper = keeper
        self._access = access

    def open(self, request: InboundRequest, params: Any) -> None:
        """See `LongLived`."""
        try:
            check_permitted(request, self._access.of_resources(params.notifications.resource_subscriptions or ()))
        except RequestFailed as exc:
            request.refuse_failed(exc)
            return
        self._keeper.open(request, params)

    def finish(self, request: InboundRequest) -> None:
        """See `LongLived`."""
        self._keeper.finish(request)

    def released(self, request: InboundRequest) -> None:
        """See `LongLived`."""
        self._keeper.released(request)


def _unknown(request: InboundRequest) -> RequestFailed:
    """The answer to a request for a feature that does not exist."""
    params = request.params or {}
    method, ref = request.method, params.get("ref")
    if method == "tools/call":
        return InvalidParams(f"Unknown tool: {params.get('name')}")
    if method == "prompts/get":
        return InvalidParams(f"Unknown prompt: {params.get('name')}")
    if isinstance(ref, dict):
        is_prompt = ref.get("type") == "ref/prompt"
        kind, name = ("prompt", ref.get("name")) if is_prompt else ("resource template", ref.get("uri"))
        return InvalidParams(f"Unknown {kind}: {name}")
    if method == LISTEN:
        return InvalidParams("This client may not subscribe to one of these resources")
    uri = params.get("uri")
    return RequestFailed(request.revision.resource_not_found, "Resource not found", {"uri": uri})
