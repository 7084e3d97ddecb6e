"""Pictures, sounds and files as tools return them: bytes, and what kind they are.

`results` turns them into content blocks; prompts may do so by `to_content()`.
"""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Final, final

from trimcp.codec.base64text import encode_base64
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.types.content import AudioContent, EmbeddedResource, ImageContent

_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"<svg", 0, "image/svg+xml"),
)
_SOUNDS: Final = (
    (b"WAVE", 8, "audio/wav"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"ftypM4A", 4, "audio/mp4"),
)


def _recognise(data: bytes, signs: tuple[tuple[bytes, int, str], ...], what: str) -> str:
    for sign, offset, mime_type in signs:
        if data.startswith(sign, offset):
            return mime_type
    raise UsageError(f"the format of the {what} is not known by its first bytes: give its mime_type")


@final
class Image:
    """A picture to return from a tool.

    Attributes:
        data: the bytes of the file, not encoded.
        mime_type: `image/png` and so on.
    """

    __slots__ = ("data", "mime_type")

    def __init__(self, data: bytes, mime_type: str | None = None) -> None:
        """Take the bytes; without a media type it is read off them.

        Raises:
            UsageError: no media type given, and none recognised (PNG, JPEG, GIF, WebP, BMP, SVG are).
        """
        self.data = data
        self.mime_type = mime_type or _recognise(data, _IMAGES, "image")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], mime_type: str | None = None) -> Image:
        """Read a file, blocking: in an async tool read it by `trio.Path` and pass the bytes."""
        return cls(pathlib.Path(path).read_bytes(), mime_type)

    def to_content(self) -> ImageContent:
        """The content block, in base64."""
        from trimcp.types.content import ImageContent

        return ImageContent(data=encode_base64(self.data), mime_type=self.mime_type)


@final
class Audio:
    """A sound to return from a tool (clients of 2024-11-05 cannot take any).

    Attributes:
        data: the bytes of the file, not encoded.
        mime_type: `audio/wav` and so on.
    """

    __slots__ = ("data", "mime_type")

    def __init__(self, data: bytes, mime_type: str | None = None) -> None:
        """Take the bytes; without a media type it is read off them.

        Raises:
            UsageError: no media type given, and none recognised (WAV, Ogg, FLAC, MP3, M4A are).
        """
        self.data = data
        self.mime_type = mime_type or _recognise(data, _SOUNDS, "sound")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], mime_type: str | None = None) -> Audio:
        """Read a file, blocking: in an async tool read it by `trio.Path` and pass the bytes."""
        return cls(pathlib.Path(path).read_bytes(), mime_type)

    def to_content(self) -> AudioContent:
        """The content block, in base64."""
        from trimcp.types.content import AudioContent

        return AudioContent(data=encode_base64(self.data), mime_type=self.mime_type)


@final
class File:
    """Any other bytes to return from a tool; the client gets an embedded resource.

    Attributes:
        data: the bytes, not encoded.
        uri: what the resource is called; it need not be one that the server serves.
        mime_type: its media type, if known.
    """

    __slots__ = ("data", "mime_type", "uri")

    def __init__(self, data: bytes, uri: str, mime_type: str | None = None) -> None:
        self.data = data
        self.uri = uri
        self.mime_type = mime_type

    def to_content(self) -> EmbeddedResource:
        """The content block, in base64."""
        from trimcp.types.content import BlobResourceContents, EmbeddedResource

        blob = encode_base64(self.data)
        # server/prompts, "Embedded Resources": there must be one.
        mime_type = self.mime_type or "application/octet-stream"
        return EmbeddedResource(BlobResourceContents(uri=self.uri, blob=blob, mime_type=mime_type))
