"""Binds the lines that handlers log with structlog to their session, request, method and principal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structlog.contextvars import bound_contextvars

if TYPE_CHECKING:
    from trimcp.server.context.context import Context
    from trimcp.server.middleware import Proceed


async def log_context(ctx: Context, params: Any, proceed: Proceed) -> Any:
    """Bind the context variables of structlog for one request: a middleware.

        server.middleware(trimcp.telemetry.log_context)

    `structlog.contextvars.merge_contextvars` must be among the processors. Tasks and threads that the handler starts
    have the same values, and so have the lines of trimcp itself from within the handler.
    """
    values: dict[str, Any] = {"session": ctx.session_number, "request": ctx.request_number, "method": ctx.method}
    if ctx.principal is not None:
        values["principal"] = str(ctx.principal)
    with bound_contextvars(**values):
        return await proceed(params)
