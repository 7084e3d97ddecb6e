"""The features of a server by the names of their capabilities."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["tools", "resources", "prompts", "completions"]
"""A feature, by the name of its capability."""
KINDS: Final[tuple[Kind, ...]] = ("tools", "resources", "prompts", "completions")
