"""Runs a task again whose node is gone: from the stored params, with the answers that the client has given.

The principal of the task is known by its key and its scopes, without claims. Results of `ctx.once` are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload
from trimcp.extensions.tasks.calls import detached
from trimcp.extensions.tasks.manager import TaskManager
from trimcp.extensions.tasks.work import TaskWork, origin_of_stored
from trimcp.observability import events, log
from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.principal import principal_of_key
from trimcp.schema.exact_json import decode
from trimcp.server.features.tools import ToolRequests
from trimcp.session.delivery import Delivery
from trimcp.session.detached import DetachedPeer
from trimcp.session.request import Route
from trimcp.stores.task_store import TaskRecord
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.metadata import CLIENT_CAPABILITIES, CLIENT_INFO, Implementation
from trimcp.types.revisions import BY_VERSION, Revision

Routes = Callable[[Revision], Mapping[str, Route]]


class Reruns:
    """Makes the work of stored tasks."""

    def __init__(self, manager: TaskManager, tools: ToolRequests, routes: Routes) -> None:
        """
        Args:
            manager: of the tasks of this node.
            tools: the tools of the server and of its providers.
            routes: returns the routes of a revision.
        """
        self._manager = manager
        self._tools = tools
        self._routes = routes

    async def work_of(self, record: TaskRecord) -> TaskWork | None:
        """Make the work of a task. Returns None where it must not run again, or this node cannot run it.

        Raises:
            RequestFailed: a provider of tools failed, so that this node does not know.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        revision = BY_VERSION.get(record.revision)
        if record.on_lost != "rerun" or revision is None:
            return None
        params: dict[str, Any] = decode(record.params)
        route = self._routes(revision).get(record.method)
        try:
            if route is None:
                return None
            profile = _profile_of(revision, params.get("_meta") or {})
            decoded = route.decode(params)
        except (InvalidPayload, LookupError, TypeError) as exc:  # of another version of trimcp, or of the tool
            log.debug(events.TASK_LOST, exc_info=exc, method=record.method, principal=record.principal)
            return None
        principal = None if record.principal is None else principal_of_key(record.principal, record.scopes)
        peer = DetachedPeer(self._manager.limits, Delivery(principal), revision, profile)
        work = TaskWork(origin_of_stored(peer, params, route, profile), self._tools.call, decoded, self._manager)
        tool = await self._tools.task_tool(work, params["name"])
        return None if tool is None or tool.on_lost != "rerun" else work

    def start(self, record: TaskRecord, work: TaskWork) -> None:
        """Run a task from its beginning."""
        detached(self._manager, record, work, None)
        self._manager.start(work)


def _profile_of(revision: Revision, meta: Mapping[str, Any]) -> ClientProfile:
    """Return what the client told about itself, as `lifecycle.stored_params` keeps it."""
    codec = codec_for(revision)
    info = meta.get(CLIENT_INFO)
    return ClientProfile(
        revision,
        codec.structure(meta.get(CLIENT_CAPABILITIES, {}), ClientCapabilities),
        None if info is None else codec.structure(info, Implementation),
    )
