"""An extension that gives tools a face: `_meta` that is checked, and `ui://` resources that have it."""

from __future__ import annotations

from typing import Any

import attrs

import trimcp
from trimcp.types import ListToolsResult, Resource, Tool

IDENTIFIER = "com.example/faces"
MIME_TYPE = "text/html;profile=face"


def server_side() -> trimcp.ServerExtension:
    """The extension as a server offers it."""
    faces = trimcp.ServerExtension(IDENTIFIER)

    @faces.on_declare
    def check(definition: Any) -> None:
        match definition:
            case Tool(meta=dict(meta)) if isinstance(uri := meta.get("face"), str):
                if not uri.startswith("ui://"):
                    raise trimcp.UsageError(f"the face of {definition.name} is a ui:// resource, not {uri}")
                definition.meta = {**meta, "face": {"resourceUri": uri}}
            case Resource(uri=uri) if uri.startswith("ui://"):
                definition.mime_type = definition.mime_type or MIME_TYPE

    @faces.around("tools/list", undeclared=True)
    async def hide(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> ListToolsResult:
        result: ListToolsResult = await proceed(params)
        settings = ctx.extension(IDENTIFIER)
        if settings is not None and MIME_TYPE in settings.get("mimeTypes", ()):
            return result
        return attrs.evolve(result, tools=[attrs.evolve(tool, meta=_faceless(tool.meta)) for tool in result.tools])

    return faces


def _faceless(meta: dict[str, Any] | None) -> dict[str, Any] | None:
    return {key: value for key, value in (meta or {}).items() if key != "face"} or None


def client_side() -> trimcp.ClientExtension:
    """The extension as a client that can show faces takes part in it."""
    return trimcp.ClientExtension(IDENTIFIER, settings={"mimeTypes": [MIME_TYPE]})
