"""Base64 of bytes, by whichever library is there."""

from __future__ import annotations

import base64
import sys
import types
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.schema import dump as base64text
from trimcp.schema.dump import encode_base64


@pytest.fixture
def _chosen_anew() -> Iterator[None]:
    base64text._encoder.cache_clear()
    yield
    base64text._encoder.cache_clear()


@given(st.binary(max_size=100))
def test_it_is_the_standard_alphabet_with_padding(data: bytes) -> None:
    right = base64.b64encode(data).decode()
    assert encode_base64(data) == encode_base64(bytearray(data)) == encode_base64(memoryview(data)) == right


@pytest.mark.usefixtures("_chosen_anew")
def test_without_pybase64_python_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybase64", None)
    assert encode_base64(b"\xff\xfe") == "//4="


@pytest.mark.usefixtures("_chosen_anew")
def test_pybase64_does_it_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = types.ModuleType("pybase64")
    monkeypatch.setattr(fast, "b64encode_as_string", lambda data: f"fast {bytes(data)!r}", raising=False)
    monkeypatch.setitem(sys.modules, "pybase64", fast)
    assert encode_base64(b"a") == "fast b'a'"
