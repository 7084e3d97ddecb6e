"""Resources: the registry that a program declares into, its snapshots, and the answers to requests for them.

The handlers run in the workers of the session's, or the endpoint's, handler actor for resources. Each reads the
catalog once. server/resources of every revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import attrs
import trio

from trimcp.errors import RequestFailed, ResourceNotFound, UsageError
from trimcp.server.contents import ContentsShaper
from trimcp.server.dependencies import Dependencies
from trimcp.server.features.pagination import Page, Pages
from trimcp.server.features.provider import ProvidedResource
from trimcp.server.features.provider_lists import Listed, ProviderLists
from trimcp.server.function import MakeContext
from trimcp.server.resource import FunctionResource, ResourceOptions, ValueResource
from trimcp.server.signature import inspect_function
from trimcp.server.uri_syntax import normal_uri
from trimcp.session.request import InboundRequest
from trimcp.types.pagination import PaginatedRequestParams
from trimcp.types.resources import (
    ListResourcesResult,
    ListResourceTemplatesResult,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
)

T = TypeVar("T")

DeclaredResource = FunctionResource | ValueResource


@attrs.frozen(eq=False)
class ResourceCatalog:
    """The declared resources and templates at one moment, in the order of declaration. A change makes another."""

    resources: Mapping[str, DeclaredResource] = MappingProxyType({})
    """Those with a URI of their own, by it."""
    templates: Mapping[str, FunctionResource] = MappingProxyType({})
    """By URI template."""
    definitions: Mapping[str, Resource] = MappingProxyType({})
    """As they are listed, by URI."""
    template_definitions: Mapping[str, ResourceTemplate] = MappingProxyType({})
    """As they are listed, by URI template."""
    _by_normal: Mapping[str, DeclaredResource] = MappingProxyType({})
    """The resources by their URIs as `normal_uri` writes them."""

    def __len__(self) -> int:
        return len(self.resources) + len(self.templates)

    def all_definitions(self) -> Iterable[Resource | ResourceTemplate]:
        """All definitions of resources, and then of templates."""
        yield from self.definitions.values()
        yield from self.template_definitions.values()

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
        return None

    def same_uri(self, normal: str) -> DeclaredResource | None:
        """Return the resource with a URI, given as `normal_uri` writes it."""
        return self._by_normal.get(normal)

    def matching(self, uri: str) -> FunctionResource | None:
        """Return the first template that a URI matches."""
        normal = normal_uri(uri)
        if normal is None:
            return None
        return next((t for t in self.templates.values() if t.arguments(normal) is not None), None)

    def has_choices(self) -> bool:
        """Whether some variable of a template has choices to complete it from."""
        return any(p.choices for template in self.templates.values() for p in template.binder.parameters.values())

    # --- other catalogs ---------------------------------------------------------------

    def with_resource(self, resource: DeclaredResource, normal: str, definition: Resource) -> ResourceCatalog:
        """Return a catalog with one resource more."""
        return attrs.evolve(
            self,
            resources=MappingProxyType({**self.resources, resource.key: resource}),
            definitions=MappingProxyType({**self.definitions, resource.key: definition}),
            by_normal=MappingProxyType({**self._by_normal, normal: resource}),
        )

    def with_template(self, template: FunctionResource, definition: ResourceTemplate) -> ResourceCatalog:
        """Return a catalog with one template more."""
        return attrs.evolve(
            self,
            templates=MappingProxyType({**self.templates, template.key: template}),
            template_definitions=MappingProxyType({**self.template_definitions, template.key: definition}),
        )

    def without(self, uri: str) -> ResourceCatalog:
        """Return a catalog without a resource or a template, by the URI that it was declared with."""
        gone = self.templates.get(uri) or self.resources.get(uri)
        return ResourceCatalog(
            _without(self.resources, gone),
            _without(self.templates, gone),
            MappingProxyType({key: kept for key, kept in self.definitions.items() if key != uri}),
            MappingProxyType({key: kept for key, kept in self.template_definitions.items() if key != uri}),
            _without(self._by_normal, gone),
        )


def _without(mapping: Mapping[str, Any], gone: object) -> Mapping[str, Any]:
    return MappingProxyType({key: kept for key, kept in mapping.items() if kept is not gone})


class ResourceRegistry:
    """The resources and templates that a program has declared on one server."""

    def __init__(self, dependencies: Dependencies, threads: trio.CapacityLimiter, show: Callable[[Any], None]) -> None:
        """`show` is called with each definition before it is entered, and may change or refuse it."""
        self._dependencies = dependencies
        self.threads = threads
        self._show = show
        self.catalog = ResourceCatalog()
        """The newest snapshot."""

    def add(self, uri: str, function: Callable[..., Any], options: ResourceOptions) -> None:
        """Declare a resource by its URI, or a family of them by a template.

        Raises:
            UsageError: the URI is none or taken, or the function cannot be a resource.
        """
        self._check_free(uri)
        signature = inspect_function(function, injected=self._dependencies.injects, name=options.name)
        resource = FunctionResource(uri, signature, options, self._dependencies, self.threads)
        if resource.template is None:
            required = [parameter.name for parameter in signature.parameters if parameter.required]
            if required:
                raise UsageError(
                    f"{signature.name}() needs {required[0]!r}, which {uri!r} does not have: write {{…}} in it"
                )
            self._add(resource)
        else:
            definition = resource.template_definition
            self._show(definition)
            self.catalog = self.catalog.with_template(resource, definition)

    def add_value(self, uri: str, value: Any, options: ResourceOptions) -> None:
        """Declare a resource whose contents are there.

        Raises:
            UsageError: the URI is none, is a template, or is taken.
        """
        if "{" in uri:
            raise UsageError(f"{uri!r} is a template: it needs a function")
        self._check_free(uri)
        self._add(ValueResource(uri, value, options, self.threads))

    def _add(self, resource: DeclaredResource) -> None:
        normal = normal_uri(resource.key)
        if normal is None:
            raise UsageError(
                f"{resource.key!r} is no URI, such as config://app: percent-encode what is not allowed there"
            )
        same = self.catalog.same_uri(normal)
        if same is not None:
            raise UsageError(f"{same.key!r} is the same URI as {resource.key!r}")
        definition = resource.definition
        self._show(definition)
        self.catalog = self.catalog.with_resource(resource, normal, definition)

    def _check_free(self, uri: str) -> None:
        if uri in self.catalog.resources or uri in self.catalog.templates:
            raise UsageError(f"there is a resource {uri!r} already")

    def remove(self, uri: str) -> DeclaredResource:
        """Remove a resource or a template, by the URI it was declared with. Reads of it that run go on.

        Raises:
            UsageError: there is none of that URI.
        """
        removed = self.catalog.templates.get(uri) or self.catalog.resources.get(uri)
        if removed is None:
            raise UsageError(f"there is no resource {uri!r}")
        self.catalog = self.catalog.without(uri)
        return removed

    def __len__(self) -> int:
        return len(self.catalog)


RESOURCES: Final = Listed(
    "resources",
    "resources",
    Resource,
    lambda resource: resource.uri,
    "list_resources",
    "find_resource",
    ProvidedResource,
)
TEMPLATES: Final = Listed(
    "resources",
    "resource templates",
    ResourceTemplate,
    lambda template: template.uri_template,
    "list_resource_templates",
)


class ResourceRequests:
    """The handlers of `resources/list`, `resources/templates/list` and `resources/read`, in one run of a server."""

    def __init__(
        self, registry: ResourceRegistry, providers: ProviderLists, pages: Pages, context: MakeContext
    ) -> None:
        self._registry = registry
        self._providers = providers
        self._pages = pages
        self._context = context

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListResourcesResult:
        """Answer `resources/list`: in the order of declaration, then of the providers."""
        page = await self._page(RESOURCES, self._registry.catalog.definitions, request, params)
        return ListResourcesResult([*page.items], next_cursor=page.next_cursor)

    async def list_templates(
        self, request: InboundRequest, params: PaginatedRequestParams
    ) -> ListResourceTemplatesResult:
        """Answer `resources/templates/list`: in the order of declaration, then of the providers."""
        page = await self._page(TEMPLATES, self._registry.catalog.template_definitions, request, params)
        return ListResourceTemplatesResult([*page.items], next_cursor=page.next_cursor)

    async def _page(
        self, listed: Listed[T], declared: Mapping[str, T], request: InboundRequest, params: PaginatedRequestParams
    ) -> Page[T]:
        if self._providers.is_needed:
            return await self._providers.page(listed, self._context(request), params.cursor)
        return self._pages.page(declared, params.cursor, kind=listed.label)

    async def read(self, request: InboundRequest, params: ReadResourceRequestParams) -> ReadResourceResult:
        """Answer `resources/read`."""
        try:
            found = self._registry.catalog.find(params.uri)
            if found is None:
                return await self._read_provided(request, params.uri)
            resource, kwargs = found
            return await resource.read(request, params, kwargs, self._context)
        except ResourceNotFound as exc:
            raise RequestFailed(request.revision.resource_not_found, exc.message, {"uri": params.uri}) from None

    async def _read_provided(self, request: InboundRequest, uri: str) -> ReadResourceResult:
        if not self._providers.is_needed:
            raise ResourceNotFound(uri)
        ctx = self._context(request)
        resource = await self._providers.find("resources", "find_resource", ProvidedResource, ctx, uri)
        if resource is None:
            raise ResourceNotFound(uri)
        value = await resource.read(ctx, uri)
        shaper = ContentsShaper(uri, resource.definition.mime_type, True, self._registry.threads)
        return await shaper.shape(value, uri, request.session.limits.result_bytes)
