"""Resources: the registry of the declarations of a program, and the handlers of the requests.

A request runs in a worker of the handler actor for resources, and reads the catalog once. server/resources of every
revision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

import attrs
import trio

from trimcp.errors import RequestFailed, ResourceNotFound, UsageError
from trimcp.framing.uri_syntax import fold, normal_uri
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.features.access import check_permitted
from trimcp.server.features.declared_resources import FunctionResource, ResourceOptions, ValueResource
from trimcp.server.features.provider import ProvidedResource
from trimcp.server.features.provider_lists import Declared, DefinitionList, ProviderLists
from trimcp.server.features.subscriptions.bus import SubscriptionBus
from trimcp.server.invocation.dependencies import Dependencies
from trimcp.server.invocation.resource_contents import ResourceResultConverter
from trimcp.server.invocation.signature import inspect_function
from trimcp.session.request import InboundRequest
from trimcp.types.payload import EmptyResult, PaginatedRequestParams
from trimcp.types.resources import (
    ListResourcesResult,
    ListResourceTemplatesResult,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceRequestParams,
    ResourceTemplate,
)

R = TypeVar("R")

DeclaredResource = FunctionResource | ValueResource


@attrs.frozen(eq=False)
class ResourceCatalog:
    """The declared resources and templates at one moment, in the order of declaration. A change makes another."""

    resources: Mapping[str, DeclaredResource] = MappingProxyType({})
    """The resources by URI."""
    templates: Mapping[str, FunctionResource] = MappingProxyType({})
    """The templates by URI template."""
    _by_normal: Mapping[str, DeclaredResource] = MappingProxyType({})
    """The resources by URI in normal form."""

    def __len__(self) -> int:
        return len(self.resources) + len(self.templates)

    def __contains__(self, uri: object) -> bool:
        """Whether a URI leads to a resource, or matches a template."""
        return isinstance(uri, str) and self.find(uri) is not None

    # --- finding ----------------------------------------------------------------------

    def find(self, uri: str) -> tuple[DeclaredResource, dict[str, Any]] | None:
        """Find the resource of a URI, or the first template that matches, with the arguments of its function."""
        normal = normal_uri(uri)
        if normal is None:
            return None
        own = self._by_normal.get(normal)
        for resource in self.templates.values() if own is None else (own,):
            kwargs = resource.arguments(normal)
            if kwargs is not None:
                return resource, kwargs
        return None if own is not None else self._find_folded(normal)

    def _find_folded(self, normal: str) -> tuple[DeclaredResource, dict[str, Any]] | None:
        """Find the only resource, else the only template, whose URI differs in the case of scheme and host alone."""
        folded, _ = fold(normal)
        own = self._by_folded.get(folded, ())
        found: list[tuple[DeclaredResource, dict[str, Any]]] = [(each, each.arguments(normal) or {}) for each in own]
        for template in () if own else self.templates.values():
            kwargs = template.arguments_folded(normal, folded)
            if kwargs is not None:
                found.append((template, kwargs))
        return found[0] if len(found) == 1 else None

    @functools.cached_property
    def _by_folded(self) -> Mapping[str, Sequence[DeclaredResource]]:
        """The resources by URI in normal form, with scheme and host in lower case. Made when a URI is not found."""
        folded: dict[str, list[DeclaredResource]] = {}
        for normal, resource in self._by_normal.items():
            folded.setdefault(fold(normal)[0], []).append(resource)
        return folded

    def same_uri(self, normal: str) -> DeclaredResource | None:
        """Return the resource with a URI in normal form."""
        return self._by_normal.get(normal)

    def matching(self, uri: str) -> FunctionResource | None:
        """Return the first template that a URI matches."""
        normal = normal_uri(uri)
        if normal is None:
            return None
        return next((t for t in self.templates.values() if t.arguments(normal) is not None), None)

    # --- other catalogs ---------------------------------------------------------------

    def with_resource(self, resource: DeclaredResource, normal: str) -> ResourceCatalog:
        """Return a catalog with one resource more."""
        return attrs.evolve(
            self,
            resources=MappingProxyType({**self.resources, resource.key: resource}),
            by_normal=MappingProxyType({**self._by_normal, normal: resource}),
        )

    def with_template(self, template: FunctionResource) -> ResourceCatalog:
        """Return a catalog with one template more."""
        return attrs.evolve(self, templates=MappingProxyType({**self.templates, template.key: template}))

    def without(self, gone: DeclaredResource) -> ResourceCatalog:
        """Return a catalog without a resource or a template."""
        return ResourceCatalog(
            _without(self.resources, gone), _without(self.templates, gone), _without(self._by_normal, gone)
        )


def _without(mapping: Mapping[str, R], gone: object) -> Mapping[str, R]:
    return MappingProxyType({key: kept for key, kept in mapping.items() if kept is not gone})


class ResourceRegistry:
    """Holds the resources and templates that a program has declared on one server."""

    def __init__(self, dependencies: Dependencies, threads: trio.CapacityLimiter) -> None:
        self._dependencies = dependencies
        self.threads: trio.CapacityLimiter = threads
        self.catalog: ResourceCatalog = ResourceCatalog()
        """The newest snapshot."""

    def prepare(self, uri: str, function: Callable[..., Any], options: ResourceOptions) -> FunctionResource:
        """Prepare a function as a resource, or as the resources of a template. `add` declares the result.

        Raises:
            UsageError: the URI is invalid or taken, or the function cannot be a resource.
        """
        self._check_free(uri)
        signature = inspect_function(function, injected=self._dependencies.injects, name=options.name)
        resource = FunctionResource(uri, signature, options, self._dependencies, self.threads)
        required = [parameter.name for parameter in signature.parameters if parameter.required]
        if resource.template is None and required:
            raise UsageError(
                f"{signature.name}() needs {required[0]!r}, which {uri!r} does not have: write {{{required[0]}}} in it"
            )
        return resource

    def prepare_value(self, uri: str, value: Any, options: ResourceOptions) -> ValueResource:
        """Prepare a resource with given contents. `add` declares the resource.

        Raises:
            UsageError: the URI is invalid, a template, or taken.
        """
        if "{" in uri:
            raise UsageError(f"{uri!r} is a template, which needs a function: use @server.resource")
        self._check_free(uri)
        return ValueResource(uri, value, options, self.threads)

    def _check_free(self, uri: str) -> None:
        if uri in self.catalog.resources or uri in self.catalog.templates:
            raise UsageError(f"Duplicate resource {uri!r}: declare each URI once")
        if "{" in uri:
            return
        normal = normal_uri(uri)
        if normal is None:
            raise UsageError(
                f"Invalid URI {uri!r}: begin with a scheme, such as config://app, and percent-encode other characters"
            )
        same = self.catalog.same_uri(normal)
        if same is not None:
            raise UsageError(f"Duplicate resource {uri!r}: {same.key!r} is the same URI")

    def add(self, resource: DeclaredResource) -> None:
        """Declare a resource or a template that was prepared."""
        normal = normal_uri(resource.key)
        if isinstance(resource, FunctionResource) and resource.template is not None:
            self.catalog = self.catalog.with_template(resource)
        elif normal is not None:
            self.catalog = self.catalog.with_resource(resource, normal)

    def remove(self, uri: str) -> DeclaredResource:
        """Remove a resource or a template, by the URI of its declaration. Reads that run continue.

        Raises:
            UsageError: no resource has that URI.
        """
        removed = self.catalog.templates.get(uri) or self.catalog.resources.get(uri)
        if removed is None:
            raise UsageError(f"Unknown resource {uri!r}: use the URI of a declared resource or template")
        self.catalog = self.catalog.without(removed)
        return removed

    def definitions(self) -> Iterator[Resource | ResourceTemplate]:
        """Yield the definitions of the declared resources, and then of the templates."""
        for resource in (*self.catalog.resources.values(), *self.catalog.templates.values()):
            yield resource.definition

    def has_choices(self) -> bool:
        """Whether a variable of a template has choices to complete it from."""
        templates = self.catalog.templates.values()
        return any(p.choices for template in templates for p in template.binder.parameters.values())

    def __len__(self) -> int:
        return len(self.catalog)


RESOURCES: Final = DefinitionList(
    "resources",
    "resources",
    Resource,
    lambda resource: resource.uri,
    "list_resources",
    "find_resource",
    ProvidedResource,
)
TEMPLATES: Final[DefinitionList[ResourceTemplate, ProvidedResource]] = DefinitionList(
    "resources",
    "resource templates",
    ResourceTemplate,
    lambda template: template.uri_template,
    "list_resource_templates",
)


@runtime_checkable
class KeepsSubscriptions(Protocol):
    """A session whose subscriptions are kept in a store, so that another process can continue it."""

    async def subscribed(self, uri: str, *, is_on: bool) -> None:
        """Keep in the store whether the session is subscribed to a resource. Waits only where nodes share the store.

        Raises:
            RequestFailed: nodes share the store, and it has not kept it.
        """
        ...


class ResourceRequests:
    """The handlers of the requests for resources, in one run of a server."""

    def __init__(
        self, registry: ResourceRegistry, providers: ProviderLists, subscriptions: SubscriptionBus, run: ContextRun
    ) -> None:
        self._registry = registry
        self._providers = providers
        self._subscriptions = subscriptions
        self._run = run

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListResourcesResult:
        """Answer `resources/list`: the declared resources, then the resources of the providers."""
        catalog = self._registry.catalog
        declared = cast("Mapping[str, Declared[Resource]]", catalog.resources)
        page = await self._providers.page(RESOURCES, declared, request, params.cursor, reachable=catalog)
        return ListResourcesResult(page.items, next_cursor=page.next_cursor)

    async def list_templates(
        self, request: InboundRequest, params: PaginatedRequestParams
    ) -> ListResourceTemplatesResult:
        """Answer `resources/templates/list`: the declared templates, then the templates of the providers."""
        declared = cast("Mapping[str, Declared[ResourceTemplate]]", self._registry.catalog.templates)
        page = await self._providers.page(TEMPLATES, declared, request, params.cursor)
        return ListResourceTemplatesResult(page.items, next_cursor=page.next_cursor)

    async def read(self, request: InboundRequest, params: ReadResourceRequestParams) -> ReadResourceResult:
        """Answer `resources/read`."""
        try:
            found = self._registry.catalog.find(params.uri)
            if found is None:
                return await self._read_provided(request, params.uri)
            resource, kwargs = found
            return await resource.read(request, params, kwargs, self._run)
        except ResourceNotFound as exc:
            raise RequestFailed(request.revision.resource_not_found, exc.message, {"uri": params.uri}) from None

    async def _read_provided(self, request: InboundRequest, uri: str) -> ReadResourceResult:
        if not self._providers.is_needed:
            raise ResourceNotFound(uri)
        ctx = Context(request, self._run)
        resource = await self._providers.find(RESOURCES, ctx, uri)
        if resource is None:
            raise ResourceNotFound(uri)
        definition = resource.definition
        own = definition.uri if isinstance(definition, Resource) else definition.uri_template
        if own != uri:  # it may be the same resource in another spelling
            check_permitted(request, self._providers.scopes("resources", own))
        value = await resource.read(ctx, uri)
        converter = ResourceResultConverter(uri, resource.definition.mime_type, True, self._registry.threads)
        return await converter.convert(value, uri, request.session.limits.result_bytes)

    async def subscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/subscribe` of the legacy revisions. A second one for a resource changes nothing.

        Raises:
            InvalidParams: the URI is too long, or the client may not subscribe to it.
            RequestFailed: the session has too many subscriptions; the function of the user raised it or failed; the
                store has not kept it.
        """
        session, uri = request.session, params.uri
        if await self._subscriptions.subscribe(request, uri) and isinstance(session, KeepsSubscriptions):
            try:
                await session.subscribed(uri, is_on=True)
            except RequestFailed:
                self._subscriptions.unsubscribe(session, uri)
                raise
        return EmptyResult()

    async def unsubscribe(self, request: InboundRequest, params: ResourceRequestParams) -> EmptyResult:
        """Answer `resources/unsubscribe` of the legacy revisions, also without a subscription."""
        session = request.session
        self._subscriptions.unsubscribe(session, params.uri)
        if isinstance(session, KeepsSubscriptions):
            await session.subscribed(params.uri, is_on=False)
        return EmptyResult()
