"""The resources and templates that a program declares: prepared when they are declared, read for each request.

`resources` holds the registry of them, and the handlers. server/resources of every revision.
"""

from __future__ import annotations

import os
import pathlib
import posixpath
import urllib.parse
from typing import Any, Final

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.framing.uri_syntax import fold
from trimcp.protocol.scopes import check_scopes
from trimcp.server.context.client_view import ContextRun
from trimcp.server.features.caching import check_scope, check_ttl
from trimcp.server.features.uri_template import UriTemplate
from trimcp.server.invocation.dependencies import Dependencies
from trimcp.server.invocation.function import PreparedFunction
from trimcp.server.invocation.resource_contents import (
    BINARY,
    JSON,
    PLAIN,
    ResourceResultConverter,
    guess_mime_type,
    names_contents,
)
from trimcp.server.invocation.signature import FunctionSignature
from trimcp.server.invocation.string_arguments import InvalidStringArguments, StringArgumentBinder, is_list
from trimcp.server.options import DefinitionOptions, typed
from trimcp.session.request import InboundRequest
from trimcp.types.metadata import Annotations
from trimcp.types.payload import CacheScope
from trimcp.types.resources import ReadResourceRequestParams, ReadResourceResult, Resource, ResourceTemplate


@attrs.frozen(kw_only=True)
class ResourceOptions(DefinitionOptions):
    """The options of `@server.resource` and of `Server.add_resource`."""

    mime_type: str | None = attrs.field(default=None, validator=typed(str, "a string"))
    size: int | None = attrs.field(default=None, validator=typed(int, "a number of bytes"))
    annotations: Annotations | None = attrs.field(
        default=None, validator=typed(Annotations, "a trimcp.types.Annotations")
    )
    ttl_ms: int | None = attrs.field(default=None, validator=check_ttl)
    cache_scope: CacheScope | None = attrs.field(default=None, validator=check_scope)
    path_safe: bool = True
    """Whether URIs with values from which no path should be built do not match."""


class FunctionResource:
    """A resource, or all resources of a template, whose contents a function makes."""

    def __init__(
        self,
        uri: str,
        signature: FunctionSignature,
        options: ResourceOptions,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Raises:
            UsageError: the parameters differ from the variables of the template, or have no form as text.
        """
        self.key: str = uri
        self.scopes: frozenset[str] = frozenset(check_scopes(options.scopes, f"scopes of the resource {uri}"))
        owner = f"{signature.name}()"
        self.template: UriTemplate | None = (
            _template(uri, signature, owner, path_safe=options.path_safe) if "{" in uri else None
        )
        lists = frozenset() if self.template is None else self.template.lists
        self.binder: StringArgumentBinder = StringArgumentBinder(signature.parameters, owner, lists=lists)
        self._function = PreparedFunction(signature, dependencies, threads)
        self._converter = ResourceResultConverter(owner, options.mime_type, names_contents(signature.returns), threads)
        self._options = options
        description = options.description or signature.description
        self.definition: Resource | ResourceTemplate
        if self.template is None:
            self.definition = _definition(uri, signature.name, options, description)
        else:
            self.definition = ResourceTemplate(
                uri_template=uri,
                name=signature.name,
                title=options.title,
                description=description,
                mime_type=options.mime_type,
                annotations=options.annotations,
                icons=None if options.icons is None else list(options.icons),
                meta=options.meta,
            )

    def arguments(self, normal_uri: str) -> dict[str, Any] | None:
        """Return the arguments of the function for a URI; None if the template does not match it."""
        if self.template is None:
            return self.binder.bind(None)
        values = self.template.match_normal(normal_uri)
        if values is None:
            return None
        try:
            return self.binder.bind(values)
        except InvalidStringArguments:
            return None  # weather://{day} with an int as its day does not match weather://today

    def arguments_folded(self, normal_uri: str, folded_uri: str) -> dict[str, Any] | None:
        """Return the arguments for a URI whose scheme and host may differ in case from those of the template."""
        assert self.template is not None
        start = self.template.start
        folded, end = fold(start)
        return self.arguments(start[:end] + normal_uri[end:]) if folded_uri[:end] == folded[:end] else None

    async def read(
        self, request: InboundRequest, params: ReadResourceRequestParams, kwargs: dict[str, Any], run: ContextRun
    ) -> ReadResourceResult:
        """Call the function, and convert its value to a result."""
        value = await self._function.call(request, kwargs, run)
        result = await self._converter.convert(value, params.uri, request.session.limits.result_bytes)
        return _hinted(result, params, self._options)


class ValueResource:
    """A resource with given contents: a text, bytes, a file, or any value that JSON can write."""

    template: Final = None
    binder: Final = None

    def __init__(self, uri: str, value: Any, options: ResourceOptions, threads: trio.CapacityLimiter) -> None:
        if callable(value):
            raise UsageError(f"The value of {uri} is a function: declare it by @server.resource({uri!r})")
        self.key: str = uri
        self.scopes: frozenset[str] = frozenset(check_scopes(options.scopes, f"scopes of the resource {uri}"))
        self._value = pathlib.Path(value) if isinstance(value, os.PathLike) else value
        self._options = options
        self._converter = ResourceResultConverter(uri, options.mime_type, False, threads)
        mime_type, size = options.mime_type, options.size
        if isinstance(self._value, pathlib.Path):
            mime_type = mime_type or guess_mime_type(self._value)
        elif isinstance(value, str):
            mime_type, size = mime_type or PLAIN, len(value.encode(errors="replace")) if size is None else size
        elif isinstance(value, bytes | bytearray):
            mime_type, size = mime_type or BINARY, len(value) if size is None else size
        else:
            mime_type = mime_type or JSON
        shown = attrs.evolve(options, mime_type=mime_type, size=size)
        self.definition: Resource = _definition(uri, options.name or _last_segment(uri), shown, options.description)

    def arguments(self, normal_uri: str) -> dict[str, Any]:
        """See `FunctionResource`."""
        return {}

    async def read(
        self, request: InboundRequest, params: ReadResourceRequestParams, kwargs: dict[str, Any], run: ContextRun
    ) -> ReadResourceResult:
        """See `FunctionResource`."""
        result = await self._converter.convert(self._value, params.uri, request.session.limits.result_bytes)
        return _hinted(result, params, self._options)


def _definition(uri: str, name: str, options: ResourceOptions, description: str | None) -> Resource:
    return Resource(
        uri=uri,
        name=name,
        title=options.title,
        description=description,
        mime_type=options.mime_type,
        size=options.size,
        annotations=options.annotations,
        icons=None if options.icons is None else list(options.icons),
        meta=options.meta,
    )


def _hinted(
    result: ReadResourceResult, params: ReadResourceRequestParams, options: ResourceOptions
) -> ReadResourceResult:
    """Return a copy of the result, with the cache hints of the declaration where the function gave none."""
    if params.input_responses or params.request_state is not None:
        # The contents depend on answers of the client, which are no part of the cache key.
        return attrs.evolve(result, ttl_ms=0, cache_scope="private")
    return attrs.evolve(
        result,
        ttl_ms=options.ttl_ms if result.ttl_ms is None else result.ttl_ms,
        cache_scope=options.cache_scope if result.cache_scope is None else result.cache_scope,
    )


def _last_segment(uri: str) -> str:
    path = uri.partition(":")[2].rstrip("/")
    return urllib.parse.unquote(posixpath.basename(path)) or uri


def _template(uri: str, signature: FunctionSignature, owner: str, *, path_safe: bool) -> UriTemplate:
    parameters = {p.name: p for p in signature.parameters}
    optional = frozenset(name for name, p in parameters.items() if not p.required)
    template = UriTemplate(uri)
    for name in template.names:
        if name not in parameters:
            raise UsageError(f"{owner} has no parameter for the variable {name!r} of {uri!r}: add the parameter")
        if name in template.exploded and not is_list(parameters[name].annotation):
            raise UsageError(f"{owner}: the variable {name!r} of {uri!r} is a list: annotate the parameter list[str]")
    missing = [name for name in parameters if name not in template.names and name not in optional]
    if missing:
        raise UsageError(
            f"{owner}: {uri!r} has no variable for the parameter {missing[0]!r}: give the parameter a default"
        )
    lists = frozenset(name for name, p in parameters.items() if name in template.names and is_list(p.annotation))
    return UriTemplate(uri, optional=optional, lists=lists, path_safe=path_safe)
