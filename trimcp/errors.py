"""Every exception that trimcp raises. The name says which side caused it.

    TrimcpError
    ├── UsageError                 the program used trimcp in a way that the protocol or the API forbids
    ├── RequestFailed              a request was answered with an error (in a handler: raise it to answer so)
    │   ├── InvalidParams          code -32602; in a handler: the params of the request are wrong
    │   ├── ResourceNotFound       there is no resource with this URI; in a handler: raise it to say so
    │   └── CapabilityMissing      the request needs a capability that the client did not declare
    ├── RequestTimedOut            no answer within the deadline
    ├── ToolFailed                 a tool answered with `isError`
    ├── ConsentRefused             the user of a client, or a rule, did not agree to the call of a tool
    ├── TaskCancelled              a task was cancelled, so it has no result
    ├── InvalidPayload             a value does not fit the type that the schema gives it
    │   └── InvalidResult          a result does not fit the schema of its method or its tool
    ├── ConnectionEnded            the connection has ended
    │   ├── ConnectionClosed       this side closed it
    │   └── ConnectionLost         the peer or the network ended it
    │       ├── ServerExited       the process of the server ended
    │       └── ExchangeFailed     one exchange over HTTP failed; other calls go on, and so does the client
    ├── Unauthenticated            in an `authenticate` function: raise or return it to refuse an HTTP request
    └── SessionFailed              a session could not be opened, for example without a common revision

`ToolError` is for tools to raise. This module imports nothing of trimcp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self


class TrimcpError(Exception):
    """The base class of all exceptions of trimcp."""


class UsageError(TrimcpError):
    """The program used trimcp in a way that the protocol or the API forbids.

    Nothing was sent to the peer. The message says what to do instead.
    """

    @classmethod
    def not_installed(cls, package: str | None, extra: str) -> Self:
        """Make the error for a package of an extra of trimcp that is not installed."""
        return cls(f"{package} is not installed: run pip install '.[{extra}]' in a checkout of trimcp")


class RequestFailed(TrimcpError):
    """A request was answered with a JSON-RPC error.

    A client raises it when a call is answered with an error. A handler may raise it; the peer then
    gets exactly this error.

    Attributes:
        code: the integer code of the error.
        message: one sentence for people.
        data: further data of the error, or None.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} (code {self.code})"


class InvalidParams(RequestFailed):
    """The params of a request do not fit its method (code -32602)."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(-32602, message, data)


class ResourceNotFound(RequestFailed):
    """There is no resource with this URI.

    Raise it in the function of a resource. The answer has the code of the revision: -32602 in
    2026-07-28, -32002 before. A client raises it for both codes.

    Attributes:
        uri: the URI that was requested.
    """

    def __init__(self, uri: str, code: int = -32602, message: str = "Resource not found") -> None:
        super().__init__(code, message, {"uri": uri})
        self.uri = uri


class CapabilityMissing(RequestFailed):
    """A handler needs a capability that the client did not declare.

    `data["requiredCapabilities"]` names the capability. If the handler does not catch it, it is the
    answer to the request: code -32021 in 2026-07-28, -32600 before.
    """


class RequestTimedOut(TrimcpError):
    """No answer came in time. The peer was told that the request is cancelled."""


class ToolError(TrimcpError):
    """A tool raises it to answer with `isError` and a text for the model.

    Any other exception of a tool is answered with `isError` too, but without its text, which
    may contain secrets.
    """


class ToolFailed(TrimcpError):
    """A tool answered with `isError`. The message is the text of its content.

    Attributes:
        result: the whole `CallToolResult`.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class ConsentRefused(TrimcpError):
    """The user of a client, or a rule of its policy, did not agree to the call of a tool. Nothing was sent."""


class TaskCancelled(TrimcpError):
    """A task was cancelled, by a client or by the server, so it has no result.

    Attributes:
        id: the id of the task.
    """

    def __init__(self, id: str, why: str | None = None) -> None:
        super().__init__(f"the task {id} was cancelled{f': {why}' if why else ''}")
        self.id = id


class InvalidPayload(TrimcpError):
    """A JSON value does not fit the type that the schema of the revision gives it.

    Attributes:
        problems: strings of the form `expected … @ $.path.to[0].it`. They contain no values, which
            may be secret.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class InvalidResult(InvalidPayload):
    """A result does not fit the schema of its method, or the schema that the tool declared."""


class ConnectionEnded(TrimcpError):
    """The connection has ended, and every call that waited on it has failed."""

    def again(self) -> Self:
        """Copies the exception, for another task to raise. A shared object would collect all tracebacks."""
        another = type(self)(*self.args)
        another.__dict__.update(self.__dict__)
        another.__cause__ = self.__cause__
        return another


class ConnectionClosed(ConnectionEnded):
    """This side closed the connection, or is draining, before the answer came."""


class ConnectionLost(ConnectionEnded):
    """The peer or the network ended the connection."""


class ServerExited(ConnectionLost):
    """The server process that trimcp started has ended.

    Attributes:
        returncode: the exit status as in `subprocess` (negative: the signal), or None if unknown.
        stderr: the last lines that the process wrote to stderr.
        has_read: whether it may have read something from us before. False only where that is known.
    """

    def __init__(self, message: str, returncode: int | None = None, stderr: str = "", *, has_read: bool = True) -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr
        self.has_read = has_read


class ExchangeFailed(ConnectionLost):
    """One exchange over HTTP failed. Other calls go on, and so does the client.

    Whether the server has acted on the request is not known, unless `status` says that it was refused.

    Attributes:
        status: the status of a response that is not an answer of MCP, or None.
        retry_after: the seconds to wait before another try, if the response named them, or None.
        challenge: the value of `WWW-Authenticate` in a 401 or 403, or None.
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
    """A session could not be opened: there is no common revision, or the peer is not an MCP server."""


class Unauthenticated(TrimcpError):
    """An `authenticate` function raises or returns it to refuse an HTTP request.

        raise trimcp.Unauthenticated(challenge=('Bearer realm="mcp", error="invalid_token"', 'Basic realm="mcp"'))
        raise trimcp.Unauthenticated("A scope is missing", challenge='Bearer scope="write"', status=403)

    Attributes:
        challenges: the values of the `WWW-Authenticate` fields (RFC 9110, section 11.6.1).
        status: 401 if the sender is unknown, 403 if the sender may not do this.
        headers: further header fields of the response.

    Raises:
        UsageError: a challenge is not one line of Latin-1, a 401 has no challenge, or the status is not 400 to 599.
    """

    def __init__(
        self,
        message: str = "Authentication is needed",
        *,
        challenge: str | Sequence[str] = "Bearer",
        status: int = 401,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Makes a refusal with its challenges.

        Args:
            message: the body of the response, for people.
            challenge: one value of `WWW-Authenticate`, or several.
            status: the status of the response.
            headers: further header fields of the response, such as `Retry-After`.
        """
        super().__init__(message)
        self.headers: dict[str, str] = dict(headers)
        self.challenges: tuple[str, ...] = (challenge,) if isinstance(challenge, str) else tuple(challenge)
        self.status = status
        if not all(_is_field_value(each) for each in (*self.challenges, *self.headers, *self.headers.values())):
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
    """Checks whether a header field can have this value."""
    return isinstance(value, str) and bool(value.strip()) and not any(c in "\r\n\0" or c > "\xff" for c in value)
