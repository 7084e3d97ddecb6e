"""The run of a server, as an HTTP endpoint sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.http.server.routes import HttpRoute
from trimcp.schema.header_params import HeaderParams
from trimcp.session.admission import Admission
from trimcp.session.session import Service, Session
from trimcp.stores.node_lease import NodeLease
from trimcp.stores.node_messages import NodeMessages
from trimcp.stores.server_secrets import ServerSecrets
from trimcp.stores.store import Store


class ServedRun(Protocol):
    """The run that an endpoint serves; `ServerRun` is one."""

    admission: Admission
    draining: trio.Event
    """Set when no new work is taken."""
    drained: trio.Event
    """Set when all work is answered or given up."""
    leaving: trio.Event
    """Set when the run is going to drain, and is not ready for further clients."""
    flushed: list[Any]
    """The endpoints whose stores must have everything before the run ends; each adds and removes itself."""
    messages: NodeMessages | None
    """Carries messages to and from the other nodes of a shared store."""
    endpoints: list[Supervisor]
    """The supervisors of the endpoints, for snapshots; each endpoint adds and removes its own."""
    store: Store | None
    """Keeps everything of the run; None: in memory."""
    node: NodeLease | None
    """The lease of the run where its store is shared."""
    named_params: Mapping[str, str]
    """Method to the member of its params that `Mcp-Name` repeats."""

    @property
    def name(self) -> str:
        """The name of the server."""
        ...

    @property
    def service(self) -> Service:
        """Handles the requests of the sessions."""
        ...

    @property
    def secrets(self) -> ServerSecrets:
        """The secrets that the keys of the server are derived from."""
        ...

    @property
    def routes(self) -> Iterable[HttpRoute]:
        """The routes of the user."""
        ...

    def resubscribe(self, session: Session, uris: Collection[str], *, is_on: bool, is_late: bool = False) -> None:
        """Subscribe a session to resources as it has done at another node, or unsubscribe it. Never waits.

        `is_late`: whether changes of the resources may have been missed, so that new ones count as changed.
        """
        ...

    def missed_changes(self, session: Session) -> None:
        """Tell a session that everything that it watches may have changed. Never waits."""
        ...

    def admits(self, session: Session, *, is_known: bool = False) -> bool:
        """Return whether there is room for one more session; `is_known`: whether it was admitted before."""
        ...

    def header_params(self, tool: Any) -> HeaderParams | None:
        """Return the parameters of a tool that header fields repeat, if there are any."""
        ...
