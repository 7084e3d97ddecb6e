"""The address of a Valkey store: `valkey://user@host:port,host:port/prefix?password_file=…`; `valkeys://` uses TLS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from trimcp.errors import UsageError

VARIABLE: Final = "TRIMCP_VALKEY_PASSWORD"
"""The environment variable with the password."""
PORT: Final = 6379
PREFIX: Final = "trimcp"
"""Begins every key and channel, if the URL has no path."""
FORM: Final = "valkey://USER@HOST:PORT/PREFIX?password_file=FILE"
OPTIONS: Final = ("password_file", "cluster", "ca_file", "cert_file", "key_file")


@attrs.frozen(kw_only=True)
class ValkeyAddress:
    """Holds where a Valkey is and how to sign in."""

    hosts: tuple[tuple[str, int], ...]
    """One server and its replicas, or some nodes of a cluster."""
    prefix: str = PREFIX
    tls: bool = False
    cluster: bool = False
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    ca_file: str | None = None
    """Certificates of the authorities to trust; those of the system, if not given."""
    cert_file: str | None = None
    """The certificate of this client, with its `key_file`."""
    key_file: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise UsageError(f"The store {self} has half of a certificate: give both cert_file and key_file")
        if not self.tls and (self.ca_file, self.cert_file) != (None, None):
            raise UsageError(f"The store {self} has certificates, and does not use TLS: write valkeys://")

    def __str__(self) -> str:
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"valkey{'s' * self.tls}://{hosts}/{self.prefix}"


def read_address(url: str) -> ValkeyAddress:
    """Read a URL, and the password from the file that it names or from the environment.

    Raises:
        UsageError: the URL is invalid, has a password, or names a file that cannot be read.
    """
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in ("valkey", "valkeys") or not hosts or parts.fragment:
        raise UsageError(f"Invalid store URL {_shown(url)}: write {FORM}")
    if ":" in user:
        raise UsageError(
            f"Invalid store URL {_shown(url)}: it must have no password, since other users of the machine can see it; "
            f"put the password into {VARIABLE}, or into a file, with ?password_file=FILE"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - set(OPTIONS)
    prefix = unquote(parts.path.strip("/")) or PREFIX
    if unknown or any(character in prefix for character in "{} *?[]"):
        what = f"option {', '.join(sorted(unknown))}" if unknown else f"prefix {prefix}"
        raise UsageError(f"Invalid store URL with the {what}: write {FORM}; options are {', '.join(OPTIONS)}")
    return ValkeyAddress(
        hosts=tuple(_host(each, url) for each in hosts.split(",")),
        prefix=prefix,
        tls=parts.scheme == "valkeys",
        cluster=options.get("cluster", "0") not in ("0", "false", "no"),
        user=unquote(user) if at else None,
        password=_password(options.get("password_file")),
        ca_file=options.get("ca_file"),
        cert_file=options.get("cert_file"),
        key_file=options.get("key_file"),
    )


def _host(text: str, url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise UsageError(f"Invalid host {text!r} in the store URL {_shown(url)}: write {FORM}")
    return host, PORT if port is None else port


def _password(file: str | None) -> str | None:
    if file is None:
        return os.environ.get(VARIABLE)
    try:
        return Path(file).read_text().rstrip("\r\n")
    except (OSError, ValueError) as exc:
        raise UsageError(f"The password file {file} cannot be read ({exc}): give a text file") from None


def _shown(url: str) -> str:
    """Return a URL for an error, without what may be a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://…{rest[rest.rfind('@') :] if '@' in rest else rest}"
