"""How a program declares prompts, and the completion of arguments: the part of `Server` that does so.

What is declared belongs to `prompts` and `completions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

from trimcp.server.registering import F, Registering

if TYPE_CHECKING:
    from trimcp.types.metadata import Icon


class PromptDeclarations(Registering):
    """The declaring of prompts and completers."""

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
    ) -> F | Callable[[F], F]:
        """Declare a prompt: `@server.prompt`, or `@server.prompt(title=…)`.

        The function's name is the prompt's, its docstring the description, its parameters the
        arguments. They come as text, and become what the parameter is annotated with: a date from
        `2026-01-31`, an int from `3`, a list from JSON. The function may be async, or sync and run
        in a thread; it may take the `Context` and dependencies.

        It returns text, a content block, an `Image` or the like, which are messages of the user; a
        `PromptMessage`; a list of those; or a whole `GetPromptResult`. An unknown, missing or
        unfitting argument is answered with -32602, an exception with -32603 and without details.

        Args:
            function: the function, where the decorator is used without arguments.
            name: instead of the function's.
            title: what the prompt is called to people.
            description: instead of the docstring.
            icons: pictures for it.
            meta: its `_meta`.

        Raises:
            UsageError: the function cannot be a prompt; the message says what to do.

        See server/prompts of the specification.
        """
        from trimcp.server.features.prompts import PromptOptions

        options = PromptOptions(name=name, title=title, description=description, icons=icons, meta=meta)

        def declare(function: F) -> F:
            self._check_may_declare("prompts", "prompt")
            self.prompts.add(function, options)
            self._changed("prompts")
            return function

        return declare if function is None else declare(function)

    def remove_prompt(self, name: str) -> None:
        """Take a prompt back; clients are told. What runs of it goes on.

        Raises:
            UsageError: there is none of that name.
        """
        self.completions.forget(self.prompts.remove(name))
        self._changed("prompts")

    def completion(self, of: str, argument: str, /) -> Callable[[F], F]:
        """Declare how an argument is completed: `@server.completion("review", "language")`.

        The function's first parameter is what there is of the argument, a str. Further ones, by the
        names of other arguments, are what the user gave already (from 2025-06-18 on); as long as one
        without a default is not given, there are no completions. It may take the `Context` and
        dependencies. It returns the values, best first, of which 100 are sent, or a `Completion`.

        Arguments annotated with a `Literal`, an enumeration or `bool` are completed without.

        Args:
            of: the name of a prompt, or a resource template as it was declared.
            argument: the name of its argument, or variable.

        Raises:
            UsageError: there is none such, it is completed already, or the function cannot do it.

        See server/utilities/completion of the specification.
        """

        def declare(function: F) -> F:
            self._check_may_declare("completions", "completion")
            self.completions.add(of, argument, function)
            return function

        return declare
