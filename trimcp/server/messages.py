"""The messages of a prompt: from what a function returned to a `GetPromptResult`.

server/prompts, "PromptMessage". The actor for prompts calls it for each prompt that is got.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any, Final, cast

from trimcp.errors import InvalidResult
from trimcp.server.media import Audio, File, Image
from trimcp.shapes.dump import NotJson, dump
from trimcp.types.content import (
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    TextContent,
    TextResourceContents,
)
from trimcp.types.prompts import GetPromptResult, PromptMessage

_BLOCKS: Final = typing.get_args(ContentBlock)
_MEDIA: Final = (Image, Audio, File)
_CONTENTS: Final = (TextResourceContents, BlobResourceContents)


def prompt_result(value: Any, description: str | None, owner: str) -> GetPromptResult:
    """The result for what a prompt's function returned.

    A text, a content block, an `Image` and the like are one message of the user; in a list each is
    a message of its own, beside whole `PromptMessage`s. Anything else is sent as JSON text.

    Raises:
        InvalidResult: there is no form for it on the wire.
    """
    if isinstance(value, GetPromptResult):
        return value
    if value is None:
        raise InvalidResult([f"{owner} returned nothing: return a text, or messages"])
    items: Iterable[Any] = value if isinstance(value, list | tuple) else (value,)
    return GetPromptResult([_message(item, owner) for item in items], description)


def _message(value: Any, owner: str) -> PromptMessage:
    return value if isinstance(value, PromptMessage) else PromptMessage("user", _block(value, owner))


def _block(value: Any, owner: str) -> ContentBlock:
    if isinstance(value, str):
        return TextContent(value)
    if isinstance(value, _BLOCKS):
        return cast("ContentBlock", value)
    if isinstance(value, _MEDIA):
        return value.to_content()
    if isinstance(value, _CONTENTS):
        return EmbeddedResource(value)
    try:
        return TextContent(dump(value).decode())
    except NotJson as exc:
        raise InvalidResult([f"{owner} returned what cannot be sent: {exc}"]) from None
