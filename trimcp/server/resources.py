"""Resources: the actor that owns what resources and templates there are, for all sessions.

It has nothing to wait for, so it has no task: its functions are called from the request's task.
server/resources of every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import trio

from trimcp.errors import RequestFailed, ResourceNotFound, UsageError
from trimcp.server.dependencies import Providers
from trimcp.server.function import MakeContext
from trimcp.server.pagination import Pages
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


class Resources:
    """The resources of one server."""

    def __init__(
        self, providers: Providers, threads: trio.CapacityLimiter, pages: Pages, show: Callable[[Any], None]
    ) -> None:
        """`show` is called with each definition before it is one, and may change or refuse it."""
        self._show = show
        self._providers = providers
        self._threads = threads
        self._pages = pages
        self._fixed: dict[str, FunctionResource | ValueResource] = {}
        self._templates: dict[str, FunctionResource] = {}
        self._by_normal: dict[str, FunctionResource | ValueResource] = {}
        """The fixed ones, by their URIs as `normal_uri` writes them."""
        self._definitions: dict[str, Resource] = {}
        self._template_definitions: dict[str, ResourceTemplate] = {}

    def add(self, uri: str, function: Callable[..., Any], options: ResourceOptions) -> None:
        """Declare a resource by its URI, or a family of them by a template.

        Raises:
            UsageError: the URI is none or taken, or the function cannot be a resource.
        """
        self._check_free(uri)
        signature = inspect_function(function, injected=self._providers.injects, name=options.name)
        resource = FunctionResource(uri, signature, options, self._providers, self._threads)
        if resource.template is None:
            required = [parameter.name for parameter in signature.parameters if parameter.required]
            if required:
                raise UsageError(
                    f"{signature.name}() needs {required[0]!r}, which {uri!r} does not have: write {{…}} in it"
                )
            self._add_fixed(resource)
        else:
            definition = resource.template_definition
            self._show(definition)
            self._templates[uri] = resource
            self._template_definitions[uri] = definition

    def add_value(self, uri: str, value: Any, options: ResourceOptions) -> None:
        """Declare a resource whose contents are there.

        Raises:
            UsageError: the URI is none, is a template, or is taken.
        """
        if "{" in uri:
            raise UsageError(f"{uri!r} is a template: it needs a function")
        self._check_free(uri)
        self._add_fixed(ValueResource(uri, value, options, self._threads))

    def _add_fixed(self, resource: FunctionResource | ValueResource) -> None:
        normal = normal_uri(resource.key)
        if normal is None:
            raise UsageError(
                f"{resource.key!r} is no URI, such as config://app: percent-encode what is not allowed there"
            )
        if normal in self._by_normal:
            raise UsageError(f"{self._by_normal[normal].key!r} is the same URI as {resource.key!r}")
        definition = resource.definition
        self._show(definition)
        self._by_normal[normal] = self._fixed[resource.key] = resource
        self._definitions[resource.key] = definition

    def _check_free(self, uri: str) -> None:
        if uri in self._fixed or uri in self._templates:
            raise UsageError(f"there is a resource {uri!r} already")

    def remove(self, uri: str) -> FunctionResource | ValueResource:
        """Take a resource or a template back, by what it was declared with; reads of it that run go on.

        Raises:
            UsageError: there is none of that URI.
        """
        removed = self._templates.pop(uri, None) or self._fixed.pop(uri, None)
        if removed is None:
            raise UsageError(f"there is no resource {uri!r}")
        self._template_definitions.pop(uri, None)
        self._definitions.pop(uri, None)
        self._by_normal = {key: kept for key, kept in self._by_normal.items() if kept is not removed}
        return removed

    def __len__(self) -> int:
        return len(self._fixed) + len(self._templates)

    def definitions(self) -> Iterator[Resource | ResourceTemplate]:
        """What is listed of each."""
        yield from self._definitions.values()
        yield from self._template_definitions.values()

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListResourcesResult:
        """Answer `resources/list`: in the order of declaration."""
        page = self._pages.page(self._definitions, params.cursor, kind="resources")
        return ListResourcesResult(list(page.items), next_cursor=page.next_cursor)

    async def list_templates(
        self, request: InboundRequest, params: PaginatedRequestParams
    ) -> ListResourceTemplatesResult:
        """Answer `resources/templates/list`: in the order of declaration."""
        page = self._pages.page(self._template_definitions, params.cursor, kind="resource templates")
        return ListResourceTemplatesResult(list(page.items), next_cursor=page.next_cursor)

    def reader(
        self, context: MakeContext
    ) -> Callable[[InboundRequest, ReadResourceRequestParams], Awaitable[ReadResourceResult]]:
        """What answers `resources/read`, with that way of making a context."""

        async def read(request: InboundRequest, params: ReadResourceRequestParams) -> ReadResourceResult:
            try:
                resource, kwargs = self._find(params.uri)
                return await resource.read(request, params, kwargs, context)
            except ResourceNotFound as exc:
                raise RequestFailed(request.revision.resource_not_found, exc.message, {"uri": params.uri}) from None

        return read

    def _find(self, uri: str) -> tuple[FunctionResource | ValueResource, dict[str, Any]]:
        """The resource of a URI: a fixed one, or the first template declared that matches."""
        normal = normal_uri(uri)
        if normal is None:
            raise ResourceNotFound(uri)
        fixed = self._by_normal.get(normal)
        for resource in self._templates.values() if fixed is None else (fixed,):
            kwargs = resource.arguments(normal)
            if kwargs is not None:
                return resource, kwargs
        raise ResourceNotFound(uri)

    # --- for completion ---------------------------------------------------------------

    def template(self, uri_template: str) -> FunctionResource | None:
        """The template that was declared so."""
        return self._templates.get(uri_template)

    def matching(self, uri: str) -> FunctionResource | None:
        """The first template that a URI matches."""
        normal = normal_uri(uri)
        if normal is None:
            return None
        return next((t for t in self._templates.values() if t.arguments(normal) is not None), None)

    def has_choices(self) -> bool:
        """Whether some variable of a template has choices to complete it from."""
        return any(p.choices for template in self._templates.values() for p in template.binder.parameters.values())
