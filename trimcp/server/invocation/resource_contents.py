"""Converts the value of a function, or a file, to the result of `resources/read`.

server/resources, "Resource Contents".
"""

from __future__ import annotations

import mimetypes
import os
import pathlib
import typing
from collections.abc import Sequence
from typing import Any, Final

import attrs
import trio

from trimcp.errors import InvalidResult, ResourceNotFound
from trimcp.schema.dump import dump, encode_base64
from trimcp.schema.exact_json import NotJson
from trimcp.server.invocation.media import Audio, File, Image
from trimcp.types.content import BlobResourceContents, ResourceContents, TextResourceContents
from trimcp.types.resources import ReadResourceResult

PLAIN: Final = "text/plain"
BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"

_CONTENTS: Final = (TextResourceContents, BlobResourceContents)
_MEDIA: Final = (Image, Audio, File)
_TEXTUAL: Final = (
    "application/json",
    "application/xml",
    "application/javascript",
    "application/toml",
    "application/yaml",
)


def guess_mime_type(path: os.PathLike[str]) -> str | None:
    """Return the media type for the name of a file, if it is known."""
    return mimetypes.guess_type(os.fspath(path), strict=False)[0]


@attrs.frozen
class ResourceResultConverter:
    """Converts the values of one resource to results."""

    owner: str
    """The name of the function, or the URI, in messages."""
    mime_type: str | None
    """The media type of the declaration. If it is None, the value decides."""
    lists_contents: bool
    """Whether the function returns a list of contents, so that an empty list means no contents."""
    threads: trio.CapacityLimiter

    async def convert(self, value: Any, uri: str, most: int) -> ReadResourceResult:
        """Convert a value to the result of a read of `uri`. A file may have at most `most` bytes.

        Raises:
            ResourceNotFound: the value is None, or a path without a file.
            InvalidResult: the value cannot be sent, or the file is too large.
        """
        if isinstance(value, ReadResourceResult):
            return value
        if value is None:
            raise ResourceNotFound(uri)
        if isinstance(value, trio.Path | pathlib.PurePath):
            value = await self._read_file(pathlib.Path(value), uri, most)
        if isinstance(value, list | tuple) and (any(isinstance(v, _CONTENTS) for v in value) or self._is_empty(value)):
            return ReadResourceResult([self._contents(item, uri) for item in value])
        return ReadResourceResult([self._contents(value, uri)])

    def _is_empty(self, value: Sequence[Any]) -> bool:
        return not value and self.lists_contents

    def _contents(self, value: Any, uri: str) -> ResourceContents:
        if isinstance(value, _CONTENTS):
            return value
        if isinstance(value, str):
            return TextResourceContents(uri, value, self.mime_type or PLAIN)
        if isinstance(value, bytes | bytearray | memoryview):
            return _blob(uri, bytes(value), self.mime_type or BINARY)
        if isinstance(value, _MEDIA):
            return _blob(uri, value.data, value.mime_type or self.mime_type or BINARY)
        try:
            return TextResourceContents(uri, dump(value).decode(), self.mime_type or JSON)
        except NotJson as exc:
            raise InvalidResult([f"{self.owner} returned a value that cannot be sent: {exc}"]) from None

    async def _read_file(self, path: pathlib.Path, uri: str, most: int) -> ResourceContents:
        mime_type = self.mime_type or guess_mime_type(path)
        try:
            data = await trio.to_thread.run_sync(_read, path, most, limiter=self.threads, abandon_on_cancel=True)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ResourceNotFound(uri) from None
        if len(data) > most:
            raise InvalidResult([f"the file of {self.owner} is too long: the server sends at most {most} bytes"])
        if mime_type is None or _is_textual(mime_type):
            try:
                text = data.decode()
            except UnicodeDecodeError:
                pass
            else:
                if mime_type is not None or "\0" not in text:
                    return TextResourceContents(uri, text, mime_type or PLAIN)
        return _blob(uri, data, mime_type or BINARY)


def _is_textual(mime_type: str) -> bool:
    """Whether data of a media type is text."""
    bare = mime_type.partition(";")[0].strip().lower()
    return bare.startswith("text/") or bare in _TEXTUAL or bare.endswith(("+json", "+xml", "+yaml"))


def _read(path: pathlib.Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most + 1)  # one byte more than allowed shows that the file is too long


def _blob(uri: str, data: bytes, mime_type: str) -> BlobResourceContents:
    return BlobResourceContents(uri, encode_base64(data), mime_type)


def names_contents(annotation: Any) -> bool:
    """Whether a return annotation is a list, or another sequence, of contents."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return names_contents(annotation.__origin__)
    return isinstance(origin, type) and issubclass(origin, Sequence) and _has_contents(typing.get_args(annotation))


def _has_contents(arguments: tuple[Any, ...]) -> bool:
    return any(argument in _CONTENTS or _has_contents(typing.get_args(argument)) for argument in arguments)
