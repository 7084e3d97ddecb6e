"""Fixtures of this folder."""

from tests.http.conftest import door

__all__ = ["door"]
