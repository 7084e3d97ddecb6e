"""An extension with requests of its own about resources, in every revision: which there are below a folder."""

from __future__ import annotations

import attrs

import trimcp
from trimcp.types import NotificationParams, RequestParams, Resource, Result

IDENTIFIER = "com.example/folders"


@attrs.define
class FolderParams(RequestParams):
    uri: str
    deep: bool | None = None


@attrs.define
class FolderResult(Result):
    resources: list[Resource]


@attrs.define
class Seen(NotificationParams):
    uri: str


@attrs.define
class Weight(RequestParams):
    most_bytes: int


READ = trimcp.ExtensionMethod("resources/folder/read", FolderParams, FolderResult)
SEEN = trimcp.ExtensionNotification("notifications/folders/seen", Seen, sender="client")
READING = trimcp.ExtensionNotification("notifications/folders/reading", Seen)
ALLOWED = trimcp.ExtensionMethod("folders/allowed", Weight, dict, sender="server")


class Folders:
    """What a server keeps of it, for the tests to see."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.extension = trimcp.ServerExtension(IDENTIFIER, settings={"read": True}, sends=[READING, ALLOWED])
        self.extension.method(READ)(self._read)
        self.extension.hears(SEEN)(self._hear)

    async def _read(self, ctx: trimcp.Context, params: FolderParams) -> FolderResult:
        await ctx.notify(READING, Seen(params.uri))
        if params.deep and ctx.protocol_version != "2026-07-28":
            allowed = await ctx.call(ALLOWED, Weight(100))
            if not allowed["allowed"]:
                raise trimcp.InvalidParams("too much")
        return FolderResult([Resource(f"{params.uri}/{name}", name) for name in ("a", "b")])

    async def _hear(self, ctx: trimcp.SessionContext, params: Seen) -> None:
        self.seen.append(f"{ctx.protocol_version} {params.uri}")


def client_side() -> trimcp.ClientExtension:
    """The extension as a client takes part in it."""
    folders = trimcp.ClientExtension(IDENTIFIER, sends=[READ], receives=[READING])

    @folders.method(ALLOWED)
    async def allowed(params: Weight) -> dict[str, bool]:
        return {"allowed": params.most_bytes <= 100}

    return folders
