"""Pictures, sounds and files that tools return."""

from __future__ import annotations

import base64
import pathlib

import pytest

from trimcp.errors import UsageError
from trimcp.server.invocation.media import Audio, File, Image
from trimcp.types.content import AudioContent, BlobResourceContents, EmbeddedResource, ImageContent


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\nxx", "image/png"),
        (b"\xff\xd8\xff\xe0xx", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"BMxx", "image/bmp"),
        (b"<svg xmlns=''/>", "image/svg+xml"),
    ],
)
def test_the_format_of_a_picture_is_read_off_its_first_bytes(data: bytes, mime_type: str) -> None:
    assert Image(data).to_content() == ImageContent(base64.b64encode(data).decode(), mime_type)


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"OggS\x00", "audio/ogg"),
        (b"fLaC\x00", "audio/flac"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
    ],
)
def test_the_format_of_a_sound_is_read_off_its_first_bytes(data: bytes, mime_type: str) -> None:
    assert Audio(data).to_content() == AudioContent(base64.b64encode(data).decode(), mime_type)


def test_a_media_type_that_is_given_is_believed() -> None:
    assert Image(b"?", "image/x-own").mime_type == "image/x-own"
    assert Audio(b"?", "audio/x-own").mime_type == "audio/x-own"


@pytest.mark.parametrize("cls", [Image, Audio])
def test_an_unknown_format_asks_for_the_media_type(cls: type[Image | Audio]) -> None:
    with pytest.raises(UsageError, match="add its mime_type"):
        cls(b"RIFF")


def test_pictures_and_sounds_are_read_from_files(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"GIF89a")
    assert Image.from_file(path).mime_type == "image/gif"
    assert Audio.from_file(str(path), "audio/x-own").data == b"GIF89a"


def test_any_other_bytes_are_an_embedded_resource() -> None:
    file = File(b"a", "report:1", "application/pdf")
    assert file.to_content() == EmbeddedResource(BlobResourceContents("report:1", "YQ==", "application/pdf"))
