"""Functions read as tools: their parameters, what is injected, and what is refused."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pydantic
import pytest

from trimcp.errors import UsageError
from trimcp.server.invocation.signature import MISSING, FunctionSignature, inspect_function

if TYPE_CHECKING:
    from decimal import Decimal


class Context:
    pass


class Database:
    pass


def injected(annotation: Any) -> bool:
    return annotation in (Context, Database)


def read(fn: Any, **options: Any) -> FunctionSignature:
    return inspect_function(fn, injected=injected, **options)


async def forecast(city: str, days: int = 3, *, ctx: Context) -> dict[str, int]:
    """The forecast for a city.

    Args:
        city: Its name.
        days: How many
            days ahead.
        ctx: not an argument.

    Returns:
        degrees by day.
    """
    return {}


def test_a_function_is_read_whole() -> None:
    signature = read(forecast)
    assert signature.function is forecast
    assert signature.name == "forecast"
    assert signature.description == "The forecast for a city.\n\nReturns:\n    degrees by day."
    assert signature.is_async
    assert signature.returns == dict[str, int]
    assert signature.injected == {"ctx": Context}
    city, days = signature.parameters
    assert (city.name, city.annotation, city.default, city.required) == ("city", str, MISSING, True)
    assert (days.name, days.annotation, days.default, days.required) == ("days", int, 3, False)
    assert (city.description, days.description) == ("Its name.", "How many days ahead.")


def test_a_name_given_is_used_instead_of_the_functions_own() -> None:
    assert read(forecast, name="weather.get").name == "weather.get"


@pytest.mark.parametrize(
    "annotation",
    [
        Context,
        Context | None,
        Optional[Context],  # noqa: UP045
        Annotated[Context, "x"],
        Annotated[Context | None, "x"],
        Annotated[Context, 1] | None,
    ],
)
def test_the_context_is_recognised_in_each_spelling(annotation: Any) -> None:
    def tool(a: int, where: Any = None) -> None: ...

    tool.__annotations__ = {"a": int, "where": annotation}
    signature = read(tool)
    assert signature.injected == {"where": Context}
    assert [parameter.name for parameter in signature.parameters] == ["a"]


def test_several_dependencies_are_told_apart() -> None:
    def tool(db: Database, a: int, ctx: Context | None = None) -> None: ...

    assert read(tool).injected == {"db": Database, "ctx": Context}


class Tools:
    """A class of tools."""

    def method(self, a: int) -> int:
        """A method."""
        return a

    @classmethod
    def of_class(cls, a: int) -> int:
        return a

    @staticmethod
    def static(a: int) -> int:
        return a

    async def __call__(self, a: int, b: str = "x") -> bool:
        """Called itself."""
        return True


class Documented:
    """Does a thing."""

    def __call__(self, a: int) -> int:
        return a


@pytest.mark.parametrize("fn", [Tools().method, Tools.of_class, Tools.static])
def test_methods_are_read_without_their_self(fn: Callable[..., Any]) -> None:
    signature = read(fn)
    assert [parameter.name for parameter in signature.parameters] == ["a"]
    assert signature.parameters[0].annotation is int
    assert signature.returns is int
    assert not signature.is_async


def test_a_callable_object_is_read_by_its_call() -> None:
    signature = read(Tools())
    assert signature.name == "Tools"
    assert signature.description == "Called itself."
    assert signature.is_async
    assert [parameter.name for parameter in signature.parameters] == ["a", "b"]
    assert read(Documented()).description == "Does a thing."


def test_what_a_partial_has_bound_is_no_parameter() -> None:
    def tool(db: object, city: str, days: int = 3) -> str:
        """Partly bound."""
        return ""

    signature = read(functools.partial(tool, object(), days=4))
    assert signature.name == "tool"
    assert signature.description == "Partly bound."
    assert [parameter.name for parameter in signature.parameters] == ["city"]
    assert signature.parameters[0].annotation is str


def test_a_partial_of_a_coroutine_function_is_async() -> None:
    assert read(functools.partial(forecast, days=1)).is_async
    assert read(functools.partial(Tools(), 1)).is_async


def test_a_wrapped_function_shows_the_inner_one() -> None:
    @functools.wraps(forecast)
    async def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    assert [parameter.name for parameter in read(wrapper).parameters] == ["city", "days"]


def test_annotations_keep_what_is_in_annotated() -> None:
    def tool(a: Annotated[int, "how many"]) -> None: ...

    assert read(tool).parameters[0].annotation == Annotated[int, "how many"]


def test_a_parameter_without_a_hint_says_so() -> None:
    def tool(a, b=1): ...  # type: ignore[no-untyped-def]

    signature = read(tool)
    assert [parameter.annotation for parameter in signature.parameters] == [MISSING, MISSING]
    assert signature.returns is MISSING
    assert not MISSING
    assert repr(MISSING) == "MISSING"


def test_types_local_to_the_registering_function_are_found() -> None:
    class Local:
        pass

    def outer() -> FunctionSignature:
        class Inner:
            pass

        def tool(a: Local, b: list[Inner]) -> Inner: ...  # type: ignore[empty-body]

        signature = read(tool)
        assert signature.parameters[1].annotation == list[Inner]
        assert signature.returns is Inner
        return signature

    assert outer().parameters[0].annotation is Local


def test_a_type_known_to_type_checkers_alone_is_a_clear_error() -> None:
    def tool(a: int, price: Decimal) -> None: ...

    with pytest.raises(
        UsageError, match=r"tool\(\): the annotation of `price` needs the name `Decimal`.*TYPE_CHECKING"
    ):
        read(tool)


def test_a_return_type_that_cannot_be_found_is_a_clear_error() -> None:
    def tool() -> Decimal: ...  # type: ignore[empty-body]

    with pytest.raises(UsageError, match=r"the return annotation needs the name `Decimal`"):
        read(tool)


def test_an_annotation_that_is_no_type_is_a_clear_error() -> None:
    def tool(a: int) -> None: ...

    for annotation in ("1 + 'a'", "int[", "typing.Nothing"):
        tool.__annotations__["a"] = annotation
        with pytest.raises(UsageError, match=r"tool\(\): an annotation is not a type"):
            read(tool)


def star(*names: str) -> None: ...
def double_star(**options: str) -> None: ...
def positional(a: int, /) -> None: ...
def generator() -> typing.Iterator[int]:
    yield 1


async def async_generator() -> typing.AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (star, r"star\(\) has \*names.*a list"),
        (double_star, r"double_star\(\) has \*\*options.*dict\[str, Any\]"),
        (positional, r"positional-only parameter `a`"),
        (generator, "is a generator"),
        (async_generator, "is a generator"),
        (functools.partial(generator), "is a generator"),
        (lambda a: a, "A lambda has no name"),
        (Tools, "is a class"),
        (Tools.method, r"not bound: declare it by an instance"),
        (Tools.__dict__["of_class"], "classmethod in a class body"),
        (Tools.__dict__["static"], "staticmethod in a class body"),
        (3, "not callable"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_with_what_to_do(fn: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(fn)


def test_a_builtin_without_a_signature_is_refused() -> None:
    with pytest.raises(UsageError, match=r"No readable signature|positional-only"):
        read(max)


def test_a_lambda_with_a_name_is_a_tool() -> None:
    assert read(lambda a: a, name="same").name == "same"


def test_a_pydantic_field_as_default_describes_the_parameter_and_gives_the_default() -> None:
    def tool(
        a: int = pydantic.Field(ge=1),
        b: int = pydantic.Field(3, le=9, description="how many"),
        c: list[int] = pydantic.Field(default_factory=list),
    ) -> None: ...

    a, b, c = read(tool).parameters
    assert (a.required, a.make_default) == (True, None)
    assert (b.required, b.default) == (False, 3)
    assert (c.required, c.default) == (False, MISSING)
    assert b.make_default is not None
    assert b.make_default() == 3
    assert c.make_default is not None
    assert c.make_default() == []
    assert c.make_default() is not c.make_default()


def test_a_pydantic_field_without_a_type_hint_is_refused() -> None:
    def tool(a=pydantic.Field(3)): ...  # type: ignore[no-untyped-def]

    with pytest.raises(UsageError, match="no type hint"):
        read(tool)
