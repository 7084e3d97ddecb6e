"""The API reference of the documentation site has every public name."""

import re

import pytest

import trimcp
import trimcp.auth
from tests.programs import ROOT

SHOWN = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
NAMES = set(re.findall(r"^\.\. auto(?:class|function|data):: (\S+)$", SHOWN, re.MULTILINE))
MODULES = set(re.findall(r"^\.\. automodule:: (\S+)$", SHOWN, re.MULTILINE))


@pytest.mark.parametrize("name", trimcp.__all__)
def test_each_public_name_is_in_the_reference(name: str) -> None:
    assert f"trimcp.{name}" in NAMES or f"trimcp.{trimcp._PLACES[name]}" in MODULES


@pytest.mark.parametrize("name", trimcp.auth.__all__)
def test_each_public_name_of_authorization_is_in_the_reference(name: str) -> None:
    assert f"trimcp.auth.{name}" in NAMES
