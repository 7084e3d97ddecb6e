"""Fixtures of this folder."""

from tests.session.peer import logged

__all__ = ["logged"]
