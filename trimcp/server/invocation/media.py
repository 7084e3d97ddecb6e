"""`Image`, `Audio` and `File`: bytes with a media type, which functions return and trimcp converts to content."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Final, final

from trimcp.errors import UsageError
from trimcp.schema.dump import encode_base64

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
    raise UsageError(f"Unknown format of the {what}: add its mime_type")


@final
class Image:
    """A picture that a tool, a prompt or a resource returns.

    Attributes:
        data: the bytes of the file, not encoded.
        mime_type: the media type, such as `image/png`.
    """

    __slots__ = ("data", "mime_type")

    def __init__(self, data: bytes, mime_type: str | None = None) -> None:
        """Keep the bytes, and recognise their media type if none is given.

        Raises:
            UsageError: the media type is not given, and is none of PNG, JPEG, GIF, WebP, BMP and SVG.
        """
        self.data: bytes = data
        self.mime_type: str = mime_type or _recognise(data, _IMAGES, "image")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], mime_type: str | None = None) -> Image:
        """Read a file, which blocks. In an async tool, read the file by `trio.Path` and pass the bytes."""
        return cls(pathlib.Path(path).read_bytes(), mime_type)

    def to_content(self) -> ImageContent:
        """Return the content block, in base64."""
        from trimcp.types.content import ImageContent

        return ImageContent(data=encode_base64(self.data), mime_type=self.mime_type)


@final
class Audio:
    """A sound that a tool, a prompt or a resource returns (not for clients of 2024-11-05).

    Attributes:
        data: the bytes of the file, not encoded.
        mime_type: the media type, such as `audio/wav`.
    """

    __slots__ = ("data", "mime_type")

    def __init__(self, data: bytes, mime_type: str | None = None) -> None:
        """Keep the bytes, and recognise their media type if none is given.

        Raises:
            UsageError: the media type is not given, and is none of WAV, Ogg, FLAC, MP3 and M4A.
        """
        self.data: bytes = data
        self.mime_type: str = mime_type or _recognise(data, _SOUNDS, "sound")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], mime_type: str | None = None) -> Audio:
        """Read a file, which blocks. In an async tool, read the file by `trio.Path` and pass the bytes."""
        return cls(pathlib.Path(path).read_bytes(), mime_type)

    def to_content(self) -> AudioContent:
        """Return the content block, in base64."""
        from trimcp.types.content import AudioContent

        return AudioContent(data=encode_base64(self.data), mime_type=self.mime_type)


@final
class File:
    """Bytes that a tool, a prompt or a resource returns; the client of a tool gets an embedded resource.

    Attributes:
        data: the bytes, not encoded.
        uri: the URI of the embedded resource. The server need not serve it.
        mime_type: the media type, if known.
    """

    __slots__ = ("data", "mime_type", "uri")

    def __init__(self, data: bytes, uri: str, mime_type: str | None = None) -> None:
        self.data: bytes = data
        self.uri: str = uri
        self.mime_type: str | None = mime_type

    def to_content(self) -> EmbeddedResource:
        """Return the content block, in base64."""
        from trimcp.types.content import BlobResourceContents, EmbeddedResource

        blob = encode_base64(self.data)
        # server/prompts, "Embedded Resources": the media type is required.
        mime_type = self.mime_type or "application/octet-stream"
        return EmbeddedResource(BlobResourceContents(uri=self.uri, blob=blob, mime_type=mime_type))
