"""The run of a server, as an HTTP endpoint sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import trio

    from trimcp.actors.supervisor import Supervisor
    from trimcp.endpoint.routes import HttpRoute
    from trimcp.framing.header_params import HeaderParams
    from trimcp.session.admission import Admission
    from trimcp.session.service import Service
    from trimcp.session.session import Session
    from trimcp.stores.secret_store import SecretStore


class Host(Protocol):
    """What an endpoint needs to know of what it serves."""

    @property
    def service(self) -> Service:
        """What its sessions serve."""
        ...

    @property
    def secrets(self) -> SecretStore:
        """What the keys for all that clients keep for the server are derived from."""
        ...

    admission: Admission
    draining: trio.Event
    """Set when no new work is taken."""
    drained: trio.Event
    """Set when all that was taken is answered or given up."""
    endpoints: list[Supervisor]
    """The supervisors of the endpoints, for snapshots; each endpoint adds and removes its own."""
    named_params: Mapping[str, str]
    """The member of params that `Mcp-Name` mirrors, by method."""

    @property
    def routes(self) -> Iterable[HttpRoute]:
        """The routes of the user's."""
        ...

    def admits(self, session: Session) -> bool:
        """Whether there is room for one more session."""
        ...

    def header_params(self, tool: Any) -> HeaderParams | None:
        """Which parameters of that tool are mirrored into header fields, if any are."""
        ...
