"""The exceptions of `trimcp.auth`."""

from __future__ import annotations

from trimcp.errors import TrimcpError


class AuthorizationFailed(TrimcpError):
    """A client could not get a token. Another try may need a person, or another configuration.

    Attributes:
        error: the code of the authorization server, such as `invalid_grant`; None where the failure is another one.
        status: the HTTP status of the response that says so; None where there is none.
    """

    def __init__(self, message: str, error: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.error = error
        self.status = status


class AuthorizationServerUnavailable(AuthorizationFailed):
    """The authorization server did not answer, or answered with 5xx. Tokens and registrations are kept."""
