"""Calls of resources: the part of `Client` that lists and reads them (server/resources)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimcp.client.requester import Listing, Requester
from trimcp.client.results import ResourceResult
from trimcp.errors import RequestFailed, ResourceNotFound
from trimcp.types.jsonrpc import INVALID_PARAMS, RESOURCE_NOT_FOUND

if TYPE_CHECKING:
    from trimcp.session.calls import OnProgress
    from trimcp.types.resources import (
        ListResourcesResult,
        ListResourceTemplatesResult,
        ReadResourceResult,
        Resource,
        ResourceTemplate,
    )


class ResourceCalls(Requester):
    """What a client asks about resources."""

    async def list_resources(self, *, fresh: bool = False) -> list[Resource]:
        """All resources of the server that have URIs of their own, page after page.

        Args:
            fresh: ask the server also where an earlier list may still be used.

        Raises:
            InvalidResult: the list does not end.
        """
        return await self.iter_resources(fresh=fresh).all()

    def iter_resources(self, *, fresh: bool = False) -> Listing[Resource]:
        """The same one by one: `async for resource in client.iter_resources()`; pages are read as needed."""

        async def page(cursor: str | None) -> ListResourcesResult:
            return await self.resources_page(cursor, fresh=fresh)

        return Listing(page, lambda page: page.resources, "resources")

    async def resources_page(self, cursor: str | None = None, *, fresh: bool = False) -> ListResourcesResult:
        """One page of the server's resources; `next_cursor` leads to the one after it, None where there is none."""
        page: ListResourcesResult = await self._page("resources/list", cursor, fresh=fresh)
        return page

    async def list_resource_templates(self, *, fresh: bool = False) -> list[ResourceTemplate]:
        """All templates by which the server makes resources, page after page; see `list_resources`."""
        return await self.iter_resource_templates(fresh=fresh).all()

    def iter_resource_templates(self, *, fresh: bool = False) -> Listing[ResourceTemplate]:
        """The same one by one; see `iter_resources`."""

        async def page(cursor: str | None) -> ListResourceTemplatesResult:
            return await self.resource_templates_page(cursor, fresh=fresh)

        return Listing(page, lambda page: page.resource_templates, "resource templates")

    async def resource_templates_page(
        self, cursor: str | None = None, *, fresh: bool = False
    ) -> ListResourceTemplatesResult:
        """One page of the server's templates; see `resources_page`."""
        page: ListResourceTemplatesResult = await self._page("resources/templates/list", cursor, fresh=fresh)
        return page

    async def read_resource(
        self,
        uri: str,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> ResourceResult:
        """Read a resource (server/resources, "Reading Resources").

        Args:
            uri: of the resource.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `request`.
            meta: further keys for the request's `_meta`.
            fresh: ask the server also where an earlier result may still be used.

        Raises:
            ResourceNotFound: there is none of that URI.
        """
        params: dict[str, Any] = {"uri": uri} if meta is None else {"uri": uri, "_meta": dict(meta)}
        decode = self._codec.result_decoder("resources/read")
        try:
            result: ReadResourceResult = await self.in_rounds(
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
    # In 2026-07-28 it shares its code with all that can be wrong with params; the URI tells it apart.
    return error.code == INVALID_PARAMS and isinstance(error.data, dict) and error.data.get("uri") == uri
