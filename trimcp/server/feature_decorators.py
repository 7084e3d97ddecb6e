"""`FeatureDecorators`: the part of `Server` that declares tools, prompts, resources and completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from trimcp.server.features.tools import ToolOptions
from trimcp.server.options import DefinitionOptions, check_text

if TYPE_CHECKING:
    from trimcp.server.context.requirements import Requirement
    from trimcp.server.declarations import Declarations
    from trimcp.server.features.task_support import OnLost, TaskMode
    from trimcp.types.metadata import Annotations, Icon
    from trimcp.types.payload import CacheScope
    from trimcp.types.tools import ToolAnnotations

F = TypeVar("F", bound=Callable[..., Any])
"""A decorated function. The decorators return it unchanged."""


class FeatureDecorators:
    """Declares the features of a server, and notifies clients of changes."""

    _declarations: Declarations

    # --- tools ------------------------------------------------------------------------

    @overload
    def tool(self, function: F, /) -> F: ...

    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        input_schema: dict[str, Any] | None = None,
        output_schema: dict[str, Any] | None = None,
        requires: Sequence[Requirement] = (),
        timeout: float | None = None,
        limit: int | None = None,
        task: TaskMode = "forbidden",
        on_lost: OnLost = "fail",
        scopes: Sequence[str] = (),
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        input_schema: dict[str, Any] | None = None,
        output_schema: dict[str, Any] | None = None,
        requires: Sequence[Requirement] = (),
        timeout: float | None = None,
        limit: int | None = None,
        task: TaskMode = "forbidden",
        on_lost: OnLost = "fail",
        scopes: Sequence[str] = (),
    ) -> F | Callable[[F], F]:
        """Declare a tool: `@server.tool`, or `@server.tool(title=…, timeout=…)`.

        The tool gets its name from the function, its description from the docstring, and its schemas from the type
        hints. An async function runs in Trio; a sync one in a thread. Parameters annotated `Context`, or with the type
        of a dependency, are not arguments. The function itself is returned unchanged.

        Args:
            function: the function, if the decorator is used without arguments.
            name: instead of the function's name.
            title: the name to show to people.
            description: instead of the docstring.
            annotations: hints about the tool, such as that it only reads.
            icons: icons to show to people.
            meta: the `_meta` of the tool.
            input_schema: a JSON Schema instead of the one from the type hints.
            output_schema: a JSON Schema for the results, instead of the one from the return annotation. A schema that
                does not say `"type": "object"` is published for the property `result`.
            requires: capabilities that the client must have declared, such as `["elicitation"]`. A call of a client
                without them is answered with an error.
            timeout: seconds that a call may take, with the time that it waits for its turn. Then it is cancelled and
                answered with an error.
            limit: calls that run at once, of all sessions; further calls wait.
            task: whether a call may be a task (`optional`) or must be one (`required`); see `Context.become_task`.
            on_lost: what becomes of a task whose process has died: it fails, or another process that has the store
                runs the function again (`rerun`), with the same arguments and the answers given so far.
            scopes: scopes that the access token of a caller must have, if callers are authenticated.

        Raises:
            UsageError: the function cannot be a tool. The message says what to do.

        See server/tools of the specification.
        """
        options = ToolOptions(
            name=name,
            title=title,
            description=description,
            annotations=annotations,
            icons=icons,
            meta=meta,
            input_schema=input_schema,
            output_schema=output_schema,
            requires=requires,
            timeout=timeout,
            limit=limit,
            task=task,
            on_lost=on_lost,
            scopes=scopes,
        )
        if task != "forbidden":
            self._declarations.use_tasks()

        def declare(function: F) -> F:
            with self._declarations.declaring("tools", "tool", scopes):
                tool = self._declarations.tools.prepare(function, options)
                self._declarations.show(tool.definition)
                self._declarations.tools.add(tool)
            return function

        return declare if function is None else declare(function)

    def remove_tool(self, name: str) -> None:
        """Remove a tool, and notify clients. Calls of it that run go on.

        Raises:
            UsageError: there is no tool of that name.
        """
        self._declarations.tools.remove(name)
        self._declarations.changed("tools")

    # --- prompts ----------------------------------------------------------------------

    @overload
    def prompt(self, function: F, /) -> F: ...

    @overload
    def prompt(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        scopes: Sequence[str] = (),
    ) -> Callable[[F], F]: ...

    def prompt(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        scopes: Sequence[str] = (),
    ) -> F | Callable[[F], F]:
        """Declare a prompt: `@server.prompt`, or `@server.prompt(title=…)`.

        The prompt gets its name from the function, its description from the docstring, and its arguments from the
        parameters. Clients send arguments as text, which is converted to the annotated type: a date from `2026-01-31`,
        an int from `3`, a list from JSON. The function may be async, or sync and run in a thread. It may take the
        `Context` and dependencies.

        It returns text, a content block, or an `Image` and the like, which become messages of the user; a
        `PromptMessage`, or `{"role": …, "content": …}`; a list of those; or a whole `GetPromptResult`. An unknown,
        missing or invalid argument is answered with -32602, an exception with -32603 and without details.

        Args:
            function: the function, if the decorator is used without arguments.
            name: instead of the function's name.
            title: the name to show to people.
            description: instead of the docstring.
            icons: icons to show to people.
            meta: the `_meta` of the prompt.
            scopes: scopes that the access token of a caller must have, if callers are authenticated.

        Raises:
            UsageError: the function cannot be a prompt. The message says what to do.

        See server/prompts of the specification.
        """
        options = DefinitionOptions(
            name=name, title=title, description=description, icons=icons, meta=meta, scopes=scopes
        )

        def declare(function: F) -> F:
            with self._declarations.declaring("prompts", "prompt", scopes):
                prompt = self._declarations.prompts.prepare(function, options)
                self._declarations.show(prompt.definition)
                self._declarations.prompts.add(prompt)
            return function

        return declare if function is None else declare(function)

    def remove_prompt(self, name: str) -> None:
        """Remove a prompt, and notify clients. Requests for it that run go on.

        Raises:
            UsageError: there is no prompt of that name.
        """
        self._declarations.completions.forget(self._declarations.prompts.remove(name))
        self._declarations.changed("prompts")

    def completion(self, of: str, argument: str, /) -> Callable[[F], F]:
        """Declare how an argument is completed: `@server.completion("review", "language")`.

        The first parameter of the function gets the text that the user has typed so far. Further parameters, named as
        other arguments, get the values that the user gave already (2025-06-18 and later); without a value for a
        parameter that has no default, there are no completions. The function may take the `Context` and dependencies.
        It returns the values, best first, of which 100 are sent, or a `Completion`.

        Arguments annotated with a `Literal`, an enumeration or `bool` need no such function.

        Args:
            of: the name of a prompt, or a resource template as it was declared.
            argument: the name of its argument, or of its variable.

        Raises:
            UsageError: there is no such prompt, template or argument; it is completed already; or the function cannot
                complete it.

        See server/utilities/completion of the specification.
        """

        check_text(argument, '@server.completion("prompt or template", "argument")')

        def declare(function: F) -> F:
            with self._declarations.declaring("completions", "completion"):
                self._declarations.completions.add(of, argument, function)
            return function

        return declare

    # --- resources --------------------------------------------------------------------

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
        path_safe: bool = True,
        scopes: Sequence[str] = (),
    ) -> Callable[[F], F]:
        """Declare a resource, or a template for many: `@server.resource("weather://{city}/{day}")`.

        A URI with braces is a template of RFC 6570, and the function's parameters are its variables. Parameters without
        a default are required; values are converted to the annotated types. A URI with a value that cannot be converted
        is not found. It is safe to build a path from the values, unless `path_safe` is False. Fixed URIs come before
        templates, templates in the order of declaration.

        The function may be async, or sync and run in a thread. It may take the `Context` and dependencies. It returns
        text, bytes, a path to a file, contents of `trimcp.types`, a list of those, or any other JSON value. Return
        None, or raise `ResourceNotFound`, if the resource does not exist. Any other exception is answered with -32603,
        and its text is not sent to the client.

        Args:
            uri: the URI of the resource, or the template.
            name: instead of the function's name.
            title: the name to show to people.
            description: instead of the docstring.
            mime_type: the media type; chosen by the value if not given.
            size: the size in bytes, if that is known (not for templates).
            annotations: the audience, the importance, the time of the last change.
            icons: icons to show to people.
            meta: the `_meta` of the resource.
            ttl_ms: how long clients may cache the contents, instead of the server's `Caching`.
            cache_scope: `private`, or `public` if the contents are the same for every user.
            path_safe: whether a URI does not match if no path should be built of its values: absolute paths, drives,
                `..`, backslashes, NUL. False gives the function every value.
            scopes: scopes that the access token of a reader must have, if readers are authenticated.

        Raises:
            UsageError: the URI is invalid or taken; the function's parameters are not the variables.

        See server/resources of the specification.
        """
        check_text(uri, '@server.resource("scheme://name")')
        from trimcp.server.features.declared_resources import ResourceOptions

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
            path_safe=path_safe,
            scopes=scopes,
        )

        def declare(function: F) -> F:
            with self._declarations.declaring("resources", "resource", scopes):
                resource = self._declarations.resources.prepare(uri, function, options)
                self._declarations.show(resource.definition)
                self._declarations.resources.add(resource)
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
        scopes: Sequence[str] = (),
    ) -> None:
        """Declare a resource by its contents.

        Args:
            uri: the URI of the resource.
            value: text, bytes, the path of a file (`pathlib.Path`; read again for each request), or any other JSON
                value.
            name: the last part of the URI, if not given.
            title: see `resource`, as for `description`, `annotations`, `icons`, `meta`, `ttl_ms`, `cache_scope` and
                `scopes`.
            mime_type: by the suffix of a file or the kind of the value, if not given.
            size: the size of text and bytes, if not given.

        Raises:
            UsageError: the URI is invalid, a template, or taken.
        """
        check_text(uri, 'server.add_resource("scheme://name", value)')
        from trimcp.server.features.declared_resources import ResourceOptions

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
            scopes=scopes,
        )
        with self._declarations.declaring("resources", "resource", scopes):
            resource = self._declarations.resources.prepare_value(uri, value, options)
            self._declarations.show(resource.definition)
            self._declarations.resources.add(resource)

    def remove_resource(self, uri: str) -> None:
        """Remove a resource or a template, and notify clients. Requests that read it go on.

        Raises:
            UsageError: there is no resource or template of that URI.
        """
        self._declarations.completions.forget(self._declarations.resources.remove(uri))
        self._declarations.changed("resources")
