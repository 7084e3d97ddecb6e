"""Every exception that trimcp raises, named after who acted.

    TrimcpError
    ├── UsageError                 the caller of trimcp did what the protocol or the API forbids
    ├── RequestFailed              the peer answered a request with an error (raise it in a handler to answer so)
    │   ├── InvalidParams          code -32602; in a handler, the peer's params are at fault
    │   ├── ResourceNotFound       there is no resource of that URI; raise it in a resource's function to say so
    │   └── CapabilityMissing      the client cannot do what the request needs, and did not say it could
    ├── RequestTimedOut            no answer within the deadline
    ├── ToolFailed                 a tool ran and said `isError`
    ├── InvalidPayload             a value does not fit the type that the schema gives it
    │   └── InvalidResult          the peer's result does not fit its schema, or the tool's own
    ├── ConnectionEnded            the connection is gone
    │   ├── ConnectionClosed       this side closed it
    │   └── ConnectionLost         the peer, or what lies between, did
    │       ├── ServerExited       a server that trimcp had started ended
    │       └── ExchangeFailed     one exchange over HTTP failed; other calls, and the client, go on
    ├── Unauthenticated            raise or return it in an `authenticate` function to send an HTTP request away
    └── SessionFailed              a session could not be opened: the peer speaks no revision of ours

`ToolError` is the one that user code raises in a tool. This module imports nothing of trimcp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self


class TrimcpError(Exception):
    """The root of trimcp's exceptions."""


class UsageError(TrimcpError):
    """trimcp was used in a way that the protocol, or this API, does not allow.

    Nothing has reached the peer. The message says what to do instead.
    """


class RequestFailed(TrimcpError):
    """A request was answered with a JSON-RPC error.

    The client raises it where a call was answered so. A handler on the server may raise it,
    and the peer then gets exactly this error.

    Attributes:
        code: the error's integer code.
        message: one sentence for people.
        data: whatever the error carried beside them; None where it carried nothing.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} (code {self.code})"


class InvalidParams(RequestFailed):
    """The params of a request are not what its method takes (code -32602)."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(-32602, message, data)


class ResourceNotFound(RequestFailed):
    """There is no resource of that URI.

    Raised in the function of a resource it is answered with the code of the revision: -32602 in
    2026-07-28, -32002 before. The client raises it for either.

    Attributes:
        uri: of what was asked for.
    """

    def __init__(self, uri: str, code: int = -32602, message: str = "Resource not found") -> None:
        super().__init__(code, message, {"uri": uri})
        self.uri = uri


class CapabilityMissing(RequestFailed):
    """A handler needs of the client what it did not declare that it can do.

    `data["requiredCapabilities"]` says what. Not caught, it is the answer to the request:
    code -32021 in 2026-07-28, -32600 before.
    """


class RequestTimedOut(TrimcpError):
    """No answer came in time; the peer was told that nobody waits any more."""


class ToolError(TrimcpError):
    """Raise this in a tool to answer with `isError` and a text that the model can act upon.

    Any other exception of a tool is answered with `isError` as well, but with its
    details kept from the peer, since they may hold what the peer must not see.
    """


class ToolFailed(TrimcpError):
    """A tool answered with `isError`; the text of its content is the message.

    Attributes:
        result: the whole `CallToolResult`.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class InvalidPayload(TrimcpError):
    """A JSON value does not fit the type that the schema of the revision gives it.

    Attributes:
        problems: one string each, `expected … @ $.path.to[0].it`; values are never in them,
            since they may be secret.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class InvalidResult(InvalidPayload):
    """The peer's result breaks the schema of its method, or the schema its tool declared."""


class ConnectionEnded(TrimcpError):
    """The connection is gone, and what waited on it with it."""

    def again(self) -> Self:
        """The same for one more task to raise: one object that several raise collects all their tracebacks."""
        another = type(self)(*self.args)
        another.__dict__.update(self.__dict__)
        another.__cause__ = self.__cause__
        return another


class ConnectionClosed(ConnectionEnded):
    """This side closed the connection (or is draining) before the answer came."""


class ConnectionLost(ConnectionEnded):
    """The peer, or what lies between, ended the connection."""


class ServerExited(ConnectionLost):
    """The server process that trimcp had started ended.

    Attributes:
        returncode: its exit status as `subprocess` gives it (negative: the signal), None if unknown.
        stderr: its last lines on stderr.
    """

    def __init__(self, message: str, returncode: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr


class ExchangeFailed(ConnectionLost):
    """One exchange over HTTP failed. Other calls are not concerned, and the client goes on.

    The server may or may not have acted, unless `status` says that it, or something before it, refused.

    Attributes:
        status: of the response, where there was one that is no answer of MCP's.
        retry_after: seconds that the response said to wait before another try; None where it did not.
        challenge: what `WWW-Authenticate` of the response says, of a 401 or 403; None where it is not there.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        retry_after: float | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.challenge = challenge


class SessionFailed(TrimcpError):
    """A session could not be opened: no revision in common, or the peer is no MCP server."""


class Unauthenticated(TrimcpError):
    """An HTTP request is sent away: an `authenticate` function raises or returns it.

        raise trimcp.Unauthenticated(challenge=('Bearer realm="mcp", error="invalid_token"', 'Basic realm="mcp"'))
        raise trimcp.Unauthenticated("A scope is missing", challenge='Bearer scope="write"', status=403)

    Attributes:
        challenges: the values of `WWW-Authenticate`, a field each (RFC 9110, section 11.6.1).
        status: 401 where it is not known who sends the request, 403 where the sender may not.

    Raises:
        UsageError: a challenge that is not one line of Latin-1, a 401 without a challenge, a status below 400.
    """

    def __init__(
        self,
        message: str = "Authentication is needed",
        *,
        challenge: str | Sequence[str] = "Bearer",
        status: int = 401,
    ) -> None:
        """
        Args:
            message: the body of the response, for people.
            challenge: a value of `WWW-Authenticate`, or several.
            status: of the response.
        """
        super().__init__(message)
        self.challenges: tuple[str, ...] = (challenge,) if isinstance(challenge, str) else tuple(challenge)
        self.status = status
        if not all(_is_field_value(each) for each in self.challenges):
            raise UsageError("Invalid challenge of Unauthenticated: write one line of Latin-1 characters")
        if status == 401 and not self.challenges:
            raise UsageError("Missing challenge of Unauthenticated: a 401 needs one, such as 'Bearer'")
        if not 400 <= status <= 599:
            raise UsageError(f"Invalid status {status} of Unauthenticated: use 401 or 403")

    @property
    def challenge(self) -> str:
        """All challenges in one value."""
        return ", ".join(self.challenges)


def _is_field_value(value: object) -> bool:
    """Whether a header field can have this value."""
    return isinstance(value, str) and bool(value.strip()) and not any(c in "\r\n\0" or c > "\xff" for c in value)
