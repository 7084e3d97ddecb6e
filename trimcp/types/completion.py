"""Completion of the arguments of prompts and resource templates (server/utilities/completion)."""

from __future__ import annotations

from typing import Any

import attrs

from trimcp.types.fields import spec_field
from trimcp.types.payload import RequestParams, Result
from trimcp.types.prompts import PromptReference
from trimcp.types.resources import ResourceTemplateReference

MAX_COMPLETION_VALUES = 100
"""How many values one completion may hold."""

CompletionReference = PromptReference | ResourceTemplateReference


@attrs.define
class CompletionArgument:
    """The argument that is being written.

    Attributes:
        name: of the argument.
        value: what there is of it.
    """

    name: str
    value: str
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class CompletionContext:
    """What is known beside it (2025-06-18).

    Attributes:
        arguments: those that are written already, by name.
    """

    arguments: dict[str, str] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class CompleteRequestParams(RequestParams):
    """A request to complete an argument."""

    ref: CompletionReference
    argument: CompletionArgument
    context: CompletionContext | None = spec_field(since="2025-06-18")


@attrs.define
class Completion:
    """What the argument might become.

    Attributes:
        values: at most `MAX_COMPLETION_VALUES`.
        total: how many there are in all.
        has_more: whether there are more than these.
    """

    values: list[str]
    total: int | None = None
    has_more: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class CompleteResult(Result):
    """The answer to a request to complete an argument."""

    completion: Completion
