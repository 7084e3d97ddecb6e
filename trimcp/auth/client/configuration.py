"""Makes the `auth` of a server in an `mcpServers` file into an `OAuth`.

    "auth": "oauth"
    "auth": {"type": "oauth", "scopes": ["files:read"], "clientId": "…", "issuer": "https://…"}

The file's reader calls `oauth_of_configuration`, after it has put in environment variables.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final

from trimcp.auth.client.oauth import OAuth
from trimcp.auth.stores import TokenStore
from trimcp.errors import UsageError

_TEXTS: Final = {
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "clientName": "client_name",
    "clientMetadataUrl": "client_metadata_url",
    "issuer": "issuer",
    "redirect": "redirect",
}
_FLAGS: Final = {"dpop": "dpop", "sendResource": "send_resource", "allowPrivate": "allow_private"}
_KEYS: Final = ("type", "scopes", *_TEXTS, *_FLAGS)


def oauth_of_configuration(
    value: object,
    path: str,
    *,
    store: TokenStore | None = None,
    client_name: str = "trimcp",
    make: Callable[..., OAuth] = OAuth,
) -> OAuth:
    """Return the `OAuth` that an `auth` of a configuration stands for.

    Args:
        value: `"oauth"`, or an object with `type`.
        path: where the value stands, for errors, such as `mcpServers.files.auth`.
        store: keeps tokens; default: in memory.
        client_name: shown to the person who signs in, where the value names none.
        make: `OAuth`, or a class that is derived from it.

    Raises:
        UsageError: the value is another one. No secret is in the text.
    """
    if value == "oauth":
        value = {"type": "oauth"}
    if not isinstance(value, Mapping):
        raise UsageError(f'{path}: give "oauth", or an object such as {{"type": "oauth", "scopes": […]}}')
    if value.get("type", "oauth") != "oauth":
        raise UsageError(f'{path}.type: give "oauth"; for other ways to sign in, pass auth=… to trimcp.connect')
    for key in value:
        if key not in _KEYS:
            raise UsageError(f"{path}.{key}: {_advice(str(key))}")
    options = _options(value, path)
    try:
        arguments: dict[str, Any] = {"client_name": client_name, "store": store, **options}
        return make(**arguments)
    except UsageError as exc:
        raise UsageError(f"{path}: {exc}") from None


def _options(value: Mapping[Any, Any], path: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, name in _TEXTS.items():
        if key in value:
            if not isinstance(value[key], str) or not value[key]:
                raise UsageError(f"{path}.{key}: give a string that is not empty")
            options[name] = value[key]
    for key, name in _FLAGS.items():
        if key in value:
            if not isinstance(value[key], bool):
                raise UsageError(f"{path}.{key}: give true or false")
            options[name] = value[key]
    if "scopes" in value:
        options["scopes"] = _scopes(value["scopes"], f"{path}.scopes")
    return options


def _advice(key: str) -> str:
    plain = {known.lower(): known for known in _KEYS}
    close = difflib.get_close_matches(key.replace("_", "").replace("-", "").lower(), plain, 1)
    return f"did you mean {plain[close[0]]}?" if close else f"leave it out; there are {', '.join(_KEYS)}"


def _scopes(value: object, path: str) -> list[str]:
    """Scopes as a list, or as the string with spaces that OAuth has."""
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list) or not all(isinstance(each, str) and each and " " not in each for each in value):
        raise UsageError(f'{path}: give a list of scopes, such as ["files:read", "files:write"]')
    return list(value)
