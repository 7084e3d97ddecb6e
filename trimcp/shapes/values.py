"""One value of somebody else's JSON, as the type that is wanted.

What `server.arguments` does for all parameters of a function, this does for a single hint: a
result of a tool, the answer to a question. The client's calls and the server's questions use it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from trimcp.errors import InvalidResult
from trimcp.shapes.builder import ShapeBuilder
from trimcp.shapes.shape import LOAD_ERRORS, located


def value_builder(annotation: Any, where: str = "the type") -> Callable[[Any], Any]:
    """What makes a value of a type from somebody else's JSON, such as a result or an answer.

    The JSON is checked against the type's schema first; unknown properties of objects are passed
    over, since the other side may be newer. It may be called often: the 256 newest are kept.

    Raises:
        UsageError: the type has no JSON form. What is returned raises `InvalidResult` for a value
            that does not fit.
    """
    try:
        hash(annotation)
    except TypeError:  # metadata of `Annotated` may be anything
        return _build_value_builder(annotation, where)
    return _kept_value_builder(annotation, where)


def _build_value_builder(annotation: Any, where: str) -> Callable[[Any], Any]:
    builder = ShapeBuilder(output=False, closed=False)
    shape = builder.shape(annotation, where)
    builder.complete()
    validator = builder.validator(shape.schema)

    def build(value: Any) -> Any:
        if not validator.is_valid(value):
            raise InvalidResult(validator.problems(value))
        try:
            return value if shape.load is None else shape.load(value)
        except LOAD_ERRORS as error:
            raise InvalidResult(located(error).texts()) from None

    return build


_kept_value_builder = functools.lru_cache(maxsize=256)(_build_value_builder)
