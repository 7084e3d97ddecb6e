"""How a program declares resources on a server: the part of `Server` that does so.

What is declared belongs to `resources`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.server.registering import F, Registering

if TYPE_CHECKING:
    from trimcp.types.metadata import Annotations, Icon
    from trimcp.types.payload import CacheScope


class ResourceDeclarations(Registering):
    """The declaring of resources."""

    def resource(
        self,
        uri: str,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        size: int | None = None,
        annotations: Annotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        ttl_ms: int | None = None,
        cache_scope: CacheScope | None = None,
    ) -> Callable[[F], F]:
        """Declare a resource, or a family of them: `@server.resource("weather://{city}/{day}")`.

        A URI with braces is a template of RFC 6570, and the function's parameters are its
        variables: required where they have no default, converted to the types they are annotated
        with. A URI that does not fit is not found. Values never climb out of a path (`..`), and
        only `{+path}` has slashes. Fixed URIs come before templates, those in their order.

        The function may be async, or sync and run in a thread; it may take the `Context` and
        dependencies. It returns text, bytes, a path to a file, contents of `trimcp.types`, a list
        of those, or anything that JSON can write. None, or `ResourceNotFound` raised, says that
        there is none. Any other exception is answered with -32603 and kept from the client.

        Args:
            uri: of the resource, or the template.
            name: instead of the function's.
            title: what it is called to people.
            description: instead of the docstring.
            mime_type: its media type; the value decides if it is not given.
            size: in bytes, if that is known (not for templates).
            annotations: for whom it is, how important, when it changed.
            icons: pictures for it.
            meta: its `_meta`.
            ttl_ms: how long clients may keep what they read, instead of the server's `Caching`.
            cache_scope: `private`, or `public` if the contents are the same for everybody.

        Raises:
            UsageError: the URI is none, or taken; the function's parameters are not its variables.

        See server/resources of the specification.
        """
        from trimcp.server.resource import ResourceOptions

        options = ResourceOptions(
            name=name,
            title=title,
            description=description,
            mime_type=mime_type,
            size=size,
            annotations=annotations,
            icons=icons,
            meta=meta,
            ttl_ms=ttl_ms,
            cache_scope=cache_scope,
        )

        def declare(function: F) -> F:
            self._check_may_declare("resources", "resource")
            self.resources.add(uri, function, options)
            self._changed("resources")
            return function

        return declare

    def add_resource(
        self,
        uri: str,
        value: Any,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        size: int | None = None,
        annotations: Annotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        ttl_ms: int | None = None,
        cache_scope: CacheScope | None = None,
    ) -> None:
        """Declare a resource that is there already.

        Args:
            uri: of the resource.
            value: text, bytes, the path of a file (`pathlib.Path`; read anew each time), or anything
                that JSON can write.
            name: the last part of the URI, if not given.
            title: see `resource`, as for the rest.
            description: what it holds.
            mime_type: by the suffix of a file or the kind of the value, if not given.
            size: that of text and bytes, if not given.
            annotations: see `resource`.
            icons: see `resource`.
            meta: see `resource`.
            ttl_ms: see `resource`.
            cache_scope: see `resource`.

        Raises:
            UsageError: the URI is none, a template, or taken.
        """
        self._check_may_declare("resources", "resource")
        from trimcp.server.resource import ResourceOptions

        options = ResourceOptions(
            name=name,
            title=title,
            description=description,
            mime_type=mime_type,
            size=size,
            annotations=annotations,
            icons=icons,
            meta=meta,
            ttl_ms=ttl_ms,
            cache_scope=cache_scope,
        )
        self.resources.add_value(uri, value, options)
        self._changed("resources")

    def remove_resource(self, uri: str) -> None:
        """Take a resource, or a template, back; clients are told. Reads of it that run go on.

        Raises:
            UsageError: none was declared by that URI.
        """
        self.completions.forget(self.resources.remove(uri))
        self._changed("resources")
