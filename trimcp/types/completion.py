"""Completion of the arguments of prompts and resource templates (server/utilities/completion)."""

import attrs

from trimcp.types.fields import Extensible, spec_field
from trimcp.types.payload import RequestParams, Result
from trimcp.types.prompts import PromptReference
from trimcp.types.resources import ResourceTemplateReference

MAX_COMPLETION_VALUES = 100
"""The maximum number of values in one completion."""

CompletionReference = PromptReference | ResourceTemplateReference


@attrs.define(eq=False, repr=False)
class CompletionArgument(Extensible):
    """The argument to complete.

    Attributes:
        name: the name of the argument.
        value: its text so far.
    """

    name: str
    value: str


@attrs.define(eq=False, repr=False)
class CompletionContext(Extensible):
    """The context of the argument (2025-06-18).

    Attributes:
        arguments: the arguments known so far, by name.
    """

    arguments: dict[str, str] | None = None


@attrs.define(eq=False, repr=False)
class CompleteRequestParams(RequestParams):
    """A request to complete an argument."""

    ref: CompletionReference
    argument: CompletionArgument
    context: CompletionContext | None = spec_field(since="2025-06-18")


@attrs.define(eq=False, repr=False)
class Completion(Extensible):
    """The suggested values of the argument.

    Attributes:
        values: at most `MAX_COMPLETION_VALUES` of them.
        total: the number of all values.
        has_more: whether there are more values than these.
    """

    values: list[str]
    total: int | None = None
    has_more: bool | None = None


@attrs.define(eq=False, repr=False)
class CompleteResult(Result):
    """The answer to a request to complete an argument."""

    completion: Completion
