"""Descriptions out of docstrings, in the three usual styles."""

from __future__ import annotations

import docstring_parser
import pytest

from trimcp.schema.docstrings import read_docstring

GOOGLE = """The forecast.

    More of it.

    Args:
        city (str): Its name,
            in any language.
        days: How many: 1 to 9.

    Raises:
        ValueError: no.
    """
NUMPY = """The forecast.

    More of it.

    Parameters
    ----------
    city : str
        Its name,
        in any language.
    days
        How many: 1 to 9.

    Raises
    ------
    ValueError
        no.
    """
REST = """The forecast.

    More of it.

    :param city: Its name,
        in any language.
    :type city: str
    :param days: How many: 1 to 9.
    :raises ValueError: no.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST], ids=["google", "numpy", "rest"])
def test_parameters_are_described_and_their_section_is_left_out(text: str) -> None:
    description, parameters = read_docstring(text)
    assert parameters == {"city": "Its name, in any language.", "days": "How many: 1 to 9."}
    assert description is not None
    assert description.startswith("The forecast.\n\nMore of it.\n\n")
    assert "ValueError" in description
    assert "city" not in description
    assert "days" not in description


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_without_a_docstring_there_is_no_description(text: str | None) -> None:
    assert read_docstring(text) == (None, {})


def test_a_docstring_without_parameters_is_kept_as_it_is() -> None:
    text = "First.\n\n    Example:\n        >>> f(1)\n"
    assert read_docstring(text) == ("First.\n\nExample:\n    >>> f(1)", {})


def test_a_docstring_of_parameters_alone_gives_no_description() -> None:
    assert read_docstring("\n    Args:\n        a: one.\n") == (None, {"a": "one."})


def test_attributes_of_classes_are_described_as_well() -> None:
    assert read_docstring("A point.\n\n    Attributes:\n        x: right.\n") == ("A point.", {"x": "right."})


def test_a_sentence_that_only_mentions_arguments_is_no_section() -> None:
    assert read_docstring("Parameters are taken from the file.") == ("Parameters are taken from the file.", {})


def test_a_docstring_that_the_parser_refuses_still_describes_the_tool() -> None:
    with pytest.MonkeyPatch.context() as patch:

        def refuse(text: str) -> None:
            raise docstring_parser.ParseError

        patch.setattr(docstring_parser, "parse", refuse)
        assert read_docstring(GOOGLE)[1] == {}


def test_parameters_at_the_end_of_a_numpy_docstring_are_left_out() -> None:
    text = "A tool.\n\n    Parameters\n    ----------\n    a, b : int\n        Numbers.\n    c\n    "
    assert read_docstring(text) == ("A tool.", {"a": "Numbers.", "b": "Numbers."})
