"""One resource, or one template of resources: prepared when it is declared, read when it is asked for.

server/resources of every revision. `resources` owns which there are.
"""

from __future__ import annotations

import os
import pathlib
import posixpath
import urllib.parse
from collections.abc import Sequence
from typing import Any, Final

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.server.caching import check_scope, check_ttl
from trimcp.server.contents import BINARY, JSON, PLAIN, ContentsShaper, guess_mime_type, names_contents
from trimcp.server.dependencies import Dependencies
from trimcp.server.function import MakeContext, PreparedFunction
from trimcp.server.signature import ToolSignature
from trimcp.server.texts import InvalidTexts, TextBinder, is_list
from trimcp.server.uri_template import UriTemplate
from trimcp.session.request import InboundRequest
from trimcp.types.metadata import Annotations, Icon
from trimcp.types.payload import CacheScope
from trimcp.types.resources import ReadResourceRequestParams, ReadResourceResult, Resource, ResourceTemplate


@attrs.frozen(kw_only=True)
class ResourceOptions:
    """What a declaration says of a resource beyond its function."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    icons: Sequence[Icon] | None = None
    meta: dict[str, Any] | None = None
    ttl_ms: int | None = attrs.field(default=None, validator=check_ttl)
    cache_scope: CacheScope | None = attrs.field(default=None, validator=check_scope)


class FunctionResource:
    """A resource, or all those of a template, whose contents a function makes."""

    def __init__(
        self,
        uri: str,
        signature: ToolSignature,
        options: ResourceOptions,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Raises:
            UsageError: the function's parameters are not the template's variables, or have no form as text.
        """
        self.key = uri
        owner = f"{signature.name}()"
        self.template = _template(uri, signature, owner) if "{" in uri else None
        lists = frozenset() if self.template is None else self.template.lists
        self.binder = TextBinder(signature.parameters, owner, lists=lists)
        self._function = PreparedFunction(signature, dependencies, threads)
        self._shaper = ContentsShaper(owner, options.mime_type, names_contents(signature.returns), threads)
        self._options = options
        self._name = signature.name
        self._description = options.description or signature.description

    @property
    def definition(self) -> Resource:
        """What is listed of a resource of its own."""
        return _definition(self.key, self._name, self._options, description=self._description)

    @property
    def template_definition(self) -> ResourceTemplate:
        """What is listed of a template."""
        options = self._options
        return ResourceTemplate(
            uri_template=self.key,
            name=self._name,
            title=options.title,
            description=self._description,
            mime_type=options.mime_type,
            annotations=options.annotations,
            icons=None if options.icons is None else list(options.icons),
            meta=options.meta,
        )

    def arguments(self, normal_uri: str) -> dict[str, Any] | None:
        """The keyword arguments that a URI stands for; None where the template does not match it."""
        if self.template is None:
            return self.binder.bind(None)
        values = self.template.match_normal(normal_uri)
        if values is None:
            return None
        try:
            return self.binder.bind(values)
        except InvalidTexts:
            return None  # weather://{day} with an int for a day is no match for weather://today

    async def read(
        self, request: InboundRequest, params: ReadResourceRequestParams, kwargs: dict[str, Any], context: MakeContext
    ) -> ReadResourceResult:
        """Call the function, and shape what it returns."""
        value = await self._function.call(request, kwargs, context)
        result = await self._shaper.shape(value, params.uri, request.session.limits.result_bytes)
        return _hinted(result, params, self._options)


class ValueResource:
    """A resource that is there already: a text, bytes, a file, or any value that JSON can write."""

    template: Final = None
    binder: Final = None

    def __init__(self, uri: str, value: Any, options: ResourceOptions, threads: trio.CapacityLimiter) -> None:
        self.key = uri
        self._value = pathlib.Path(value) if isinstance(value, os.PathLike) else value
        self._options = options
        self._shaper = ContentsShaper(uri, options.mime_type, False, threads)
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
        self.definition = _definition(uri, options.name or _last_segment(uri), shown, description=options.description)

    def arguments(self, normal_uri: str) -> dict[str, Any]:
        """See `FunctionResource`."""
        return {}

    async def read(
        self, request: InboundRequest, params: ReadResourceRequestParams, kwargs: dict[str, Any], context: MakeContext
    ) -> ReadResourceResult:
        """See `FunctionResource`."""
        result = await self._shaper.shape(self._value, params.uri, request.session.limits.result_bytes)
        return _hinted(result, params, self._options)


def _definition(uri: str, name: str, options: ResourceOptions, *, description: str | None) -> Resource:
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
    """A copy of the result with the hints of the declaration, as far as the function gave none of its own."""
    if params.input_responses or params.request_state is not None:
        # It depends on answers that are no part of what it would be kept under.
        return attrs.evolve(result, ttl_ms=0, cache_scope="private")
    return attrs.evolve(
        result,
        ttl_ms=options.ttl_ms if result.ttl_ms is None else result.ttl_ms,
        cache_scope=options.cache_scope if result.cache_scope is None else result.cache_scope,
    )


def _last_segment(uri: str) -> str:
    path = uri.partition(":")[2].rstrip("/")
    return urllib.parse.unquote(posixpath.basename(path)) or uri


def _template(uri: str, signature: ToolSignature, owner: str) -> UriTemplate:
    parameters = {p.name: p for p in signature.parameters}
    optional = frozenset(name for name, p in parameters.items() if not p.required)
    template = UriTemplate(uri)
    for name in template.names:
        if name not in parameters:
            raise UsageError(f"{owner} has no parameter for the variable {name!r} of {uri!r}")
        if name in template.exploded and not is_list(parameters[name].annotation):
            raise UsageError(f"{owner}: the variable {name!r} of {uri!r} is a list: annotate it list[str]")
    missing = [name for name in parameters if name not in template.names and name not in optional]
    if missing:
        raise UsageError(f"{owner}: {uri!r} has no variable for the parameter {missing[0]!r}: give it a default")
    lists = frozenset(name for name, p in parameters.items() if name in template.names and is_list(p.annotation))
    return UriTemplate(uri, optional=optional, lists=lists)
