"""Resources, for a client: their lists and their contents (server/resources)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from trimcp.errors import InvalidResult, RequestFailed, ResourceNotFound
from trimcp.types.content import BlobResourceContents, ResourceContents, TextResourceContents
from trimcp.types.jsonrpc import INVALID_PARAMS, RESOURCE_NOT_FOUND

if TYPE_CHECKING:
    from trimcp.client.requests import ClientRequests
    from trimcp.session.call import OnProgress
    from trimcp.types.payload import CacheScope
    from trimcp.types.resources import ReadResourceResult


@attrs.frozen(eq=False)
class ResourceResult:
    """The result of `Client.read_resource` (server/resources, "Resource Contents").

    Attributes:
        contents: what the URI stands for: mostly one, several for a directory and the like.
        meta: the result's `_meta`.
        raw: the whole result.
    """

    contents: list[ResourceContents]
    meta: dict[str, Any] | None
    raw: ReadResourceResult

    @classmethod
    def of(cls, result: ReadResourceResult) -> ResourceResult:
        """Make a `ResourceResult` of the decoded result."""
        return cls(result.contents, result.meta, result)

    @property
    def text(self) -> str:
        """The contents that are text, a line break between two of them; empty if there are none."""
        return "\n".join(item.text for item in self.contents if isinstance(item, TextResourceContents))

    @property
    def blob(self) -> bytes | None:
        """The first of the contents that is not text, as bytes; None if there is none.

        Raises:
            InvalidResult: the server sent something other than base64.
        """
        for item in self.contents:
            if isinstance(item, BlobResourceContents):
                try:
                    return decoded_base64(item.blob)
                except ValueError:
                    raise InvalidResult([f"the blob of {item.uri} is not base64"]) from None
        return None

    @property
    def mime_type(self) -> str | None:
        """The media type of the first of the contents, where it has one."""
        return self.contents[0].mime_type if self.contents else None

    @property
    def ttl_ms(self) -> int:
        """How long the server lets it be kept, in milliseconds; 0 in older revisions."""
        return self.raw.ttl_ms or 0

    @property
    def cache_scope(self) -> CacheScope:
        """Whether it is the same for all users; `private` in older revisions."""
        return self.raw.cache_scope or "private"


def decoded_base64(text: str) -> bytes:
    """Return the bytes of a text in base64, also in its URL-safe form, and without padding.

    Raises:
        ValueError: it is no base64.
    """
    data = text.rstrip("=").replace("-", "+").replace("_", "/")
    if len(text) - len(data) > 2:
        raise ValueError("too much padding")
    return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)


async def read_resource(
    requests: ClientRequests,
    uri: str,
    timeout: float | None,
    on_progress: OnProgress | None,
    meta: Mapping[str, Any] | None,
    fresh: bool,
) -> ResourceResult:
    """Read a resource. See `Client.read_resource`."""
    params: dict[str, Any] = {"uri": uri} if meta is None else {"uri": uri, "_meta": dict(meta)}
    decode = requests.codec.result_decoder("resources/read")
    try:
        result: ReadResourceResult = await requests.call(
            "resources/read", params, decode, timeout=timeout, on_progress=on_progress, fresh=fresh
        )
    except RequestFailed as exc:
        if _says_not_found(exc, uri):
            raise ResourceNotFound(uri, exc.code, exc.message) from exc
        raise
    return ResourceResult.of(result)


def _says_not_found(error: RequestFailed, uri: str) -> bool:
    if error.code == RESOURCE_NOT_FOUND:
        return True
    # In 2026-07-28 the code is that of all invalid params; the URI in the data tells it apart.
    return error.code == INVALID_PARAMS and isinstance(error.data, dict) and error.data.get("uri") == uri
