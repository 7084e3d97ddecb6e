"""The features of a server: the declarations of each, and the handlers of its requests."""

from __future__ import annotations

from typing import Final, Literal

Feature = Literal["tools", "resources", "prompts", "completions"]
"""A feature, by the name of its capability."""
FEATURES: Final[tuple[Feature, ...]] = ("tools", "resources", "prompts", "completions")
"""All features."""
