"""Reads configuration files that list MCP servers, as hosts have them, and makes targets of the entries.

They hold `{"mcpServers": {NAME: {"command": …, "args": […]} or {"url": …}}}`; VS Code writes `servers`, and allows
comments. No specification defines them, so unknown keys are passed over with a log line, and known keys are checked.
`trimcp.open_group` connects the servers; nothing is started here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from trimcp.client.group.naming import server_name_of
from trimcp.client.requests import Timeouts
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import UsageError
from trimcp.http.client.auth import ClientAuth
from trimcp.observability import events, log
from trimcp.types.revisions import BY_VERSION

MOST_BYTES: Final = 2**20
"""The longest file that is read."""
MOST_SECONDS: Final = 1000
"""A timeout of this many or more is taken for milliseconds: some hosts use those, and none waits that long."""

TRANSPORTS: Final = {
    "stdio": "stdio",
    "http": "http",
    "streamablehttp": "http",
    "sse": "sse",
    "ws": "websocket",
    "websocket": "websocket",
}
"""Transports by the values of `type`, in lower case and without hyphens."""

_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (type(None), "null"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a string"),
    (list | tuple, "an array"),
    (Mapping, "an object"),
)

_COMMON: Final = frozenset({"type", "transport", "disabled", "enabled", "timeout", "revision"})
_COMMAND: Final = frozenset({"command", "args", "env", "cwd"})
_URL: Final = frozenset({"url", "headers", "auth"})


SignIn = Callable[[object, str, str], ClientAuth]


@attrs.frozen
class ConfiguredServer:
    """One server of a configuration.

    Attributes:
        name: its name in the group: the key, or a name made of the key where that is not valid.
        key: its name in the configuration.
        target: for `trimcp.connect`: a command, or a URL.
        options: the options of `trimcp.connect` that go with it.
    """

    name: str
    key: str
    target: list[str] | str = attrs.field(repr=False)  # both may hold secrets
    options: dict[str, Any] = attrs.field(repr=False)


@attrs.frozen
class Configuration:
    """The servers of a file that `load_configuration` has read.

    Attributes:
        servers: those to connect to, by name, in the order of the file.
        disabled: the keys of disabled servers.
    """

    servers: Mapping[str, ConfiguredServer]
    disabled: tuple[str, ...] = ()


def load_configuration(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    sign_in: SignIn | None = None,
) -> Configuration:
    """Read the servers of a configuration file such as Claude Desktop and VS Code have, or of its contents.

    In every string of a server, `${NAME}` and `${env:NAME}` stand for an environment variable, and
    `${NAME:-text}` for the text where the variable is not set, or empty. Nothing else is looked up, and no
    folder is searched for files.

    Args:
        source: the path of the file, or its contents.
        environment: the environment variables; those of this process, if not given.
        variables: further strings, by the exact characters between `${` and `}`: `{"workspaceFolder": …,
            "input:token": …}`.
        sign_in: makes the hook of a server with `auth`, of that value, its path in the file, and the URL; it may
            raise `UsageError`. Without it, that is a `trimcp.auth.OAuth` of the value's options.

    Raises:
        UsageError: the file cannot be read, or has invalid entries; the message names the server and the key
            of each. It holds no values, since they may be secret.
    """
    where = "" if isinstance(source, Mapping) else f"{os.fspath(source)}: "
    contents = source if isinstance(source, Mapping) else _read(source)
    reader = ConfigurationReader(
        Variables(os.environ if environment is None else environment, variables or {}), sign_in or _oauth
    )
    configuration = reader.read(contents)
    if reader.problems:
        raise UsageError(where + "; ".join(reader.problems))
    return configuration


def _oauth(value: object, path: str, url: str) -> ClientAuth:
    try:
        from trimcp.auth.client.configuration import oauth_of_configuration
    except ModuleNotFoundError as exc:
        raise UsageError.not_installed(f"{path}: {exc.name}", "auth") from exc
    return oauth_of_configuration(value, path)


def _read(path: str | os.PathLike[str]) -> Any:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{os.fspath(path)}: cannot be read: {exc.strerror}") from exc
    if len(data) > MOST_BYTES:
        raise UsageError(f"{os.fspath(path)}: too long for a configuration: {MOST_BYTES} bytes at most")
    data = data.removeprefix(b"\xef\xbb\xbf")  # the byte order mark of editors on Windows
    try:
        return loads(without_comments(data))
    except InvalidJson as exc:
        raise UsageError(f"{os.fspath(path)}: invalid JSON: {exc}") from None


class ConfigurationReader:
    """Reads one configuration, and collects all its problems, so that one error can name them all."""

    def __init__(self, variables: Variables, sign_in: SignIn) -> None:
        self._variables = variables
        self._sign_in = sign_in
        self.problems: list[str] = []
        """One text for each problem, with the path of the entry."""

    def _wrong(self, path: str, problem: str) -> None:
        self.problems.append(f"{path}: {problem}")

    def read(self, contents: Any) -> Configuration:
        """Return the servers that could be read; the others are in `problems`."""
        found = self._servers(contents)
        servers: dict[str, ConfiguredServer] = {}
        disabled: list[str] = []
        if found is None:
            return Configuration(servers)
        place, entries = found
        names = _names(entries)
        for key, entry in entries.items():
            path = f"{place}.{key}"
            if not isinstance(entry, Mapping):
                self._wrong(path, f"expected an object, found {_kind(entry)}")
            elif self._flag(entry, "disabled", path, False) or not self._flag(entry, "enabled", path, True):
                disabled.append(key)
            else:
                server = self._server(names[key], key, entry, path)
                if server is not None:
                    servers[server.name] = server
        return Configuration(MappingProxyType(servers), tuple(disabled))

    def _servers(self, contents: Any) -> tuple[str, Mapping[str, Any]] | None:
        if not isinstance(contents, Mapping):
            self._wrong("the top", f"expected an object, found {_kind(contents)}")
            return None
        places = [place for place in ("mcpServers", "servers") if place in contents]
        if len(places) != 1:
            self._wrong("the top", f"expected mcpServers or servers, found {'both' if places else 'neither'}")
            return None
        entries = contents[places[0]]
        if not isinstance(entries, Mapping):
            self._wrong(places[0], f"expected an object, found {_kind(entries)}")
            return None
        return places[0], entries

    def _server(self, name: str, key: str, entry: Mapping[str, Any], path: str) -> ConfiguredServer | None:
        before = len(self.problems)
        transport = self._transport(entry, path)
        if transport is None:
            return None
        target: list[str] | str
        if transport == "stdio":
            known = _COMMON | _COMMAND
            target, options = self._command(entry, path)
        else:
            known = _COMMON | _URL
            target, options = self._url(entry, transport, path)
        self._time(entry, options, path)
        if "revision" in entry:
            revision = self._text(entry["revision"], f"{path}.revision")
            if revision in BY_VERSION:
                options["revision"] = revision
            else:
                self._wrong(f"{path}.revision", f"there are {', '.join(BY_VERSION)}")
        ignored = sorted(str(other) for other in entry.keys() - known)
        if ignored:
            log.warning(events.CONFIGURATION_KEY_IGNORED, server=key, keys=ignored)
        return ConfiguredServer(name, key, target, options) if len(self.problems) == before else None

    def _transport(self, entry: Mapping[str, Any], path: str) -> str | None:
        """Return the transport that `type` names, or that follows from `command` or `url`."""
        has = [member for member in ("command", "url") if member in entry]
        if len(has) != 1:
            self._wrong(path, "expected either command or url" + (", found both" if has else ", found neither"))
            return None
        word = next((member for member in ("type", "transport") if member in entry), None)
        if word is None:
            return "stdio" if has == ["command"] else self._of_scheme(entry["url"])
        named = entry[word]
        transport = None
        if isinstance(named, str):
            transport = TRANSPORTS.get(named.lower().replace("-", "").replace("_", ""))
        if transport is None:
            self._wrong(f"{path}.{word}", "expected one of stdio, http, streamable-http, sse, ws")
        elif (transport == "stdio") != (has == ["command"]):
            self._wrong(f"{path}.{word}", f"it does not go with {has[0]}")
            return None
        return transport

    def _of_scheme(self, url: Any) -> str:
        return "websocket" if isinstance(url, str) and url.startswith(("ws://", "wss://")) else "http"

    def _command(self, entry: Mapping[str, Any], path: str) -> tuple[list[str], dict[str, Any]]:
        command = [self._text(entry["command"], f"{path}.command")]
        if command == [""]:
            self._wrong(f"{path}.command", "it is empty")
        args = entry.get("args", [])
        if isinstance(args, list | tuple):
            command += [self._text(arg, f"{path}.args[{n}]") for n, arg in enumerate(args)]
        else:
            self._wrong(f"{path}.args", f"expected an array, found {_kind(args)}")
        options: dict[str, Any] = {}
        if "env" in entry:
            options["env"] = self._texts(entry["env"], f"{path}.env")
        if "cwd" in entry:
            options["cwd"] = self._text(entry["cwd"], f"{path}.cwd")
        return command, options

    def _url(self, entry: Mapping[str, Any], transport: str, path: str) -> tuple[str, dict[str, Any]]:
        url = self._text(entry["url"], f"{path}.url")
        schemes = ("ws://", "wss://") if transport == "websocket" else ("http://", "https://")
        if isinstance(entry["url"], str) and not url.lower().startswith(schemes):
            self._wrong(f"{path}.url", f"expected {' or '.join(schemes)}…")
        options: dict[str, Any] = {}
        if transport == "sse":  # the URL says which of the others it is
            options["transport"] = transport
        if "headers" in entry:
            options["headers"] = self._texts(entry["headers"], f"{path}.headers")
        if "auth" in entry:
            self._authorize(entry["auth"], url, options, f"{path}.auth")
        return url, options

    def _authorize(self, auth: Any, url: str, options: dict[str, Any], path: str) -> None:
        if any(name.lower() == "authorization" for name in options.get("headers", ())):
            self._wrong(path, "Authorization is in headers already: leave one of them out")
            return
        before = len(self.problems)
        value = self._filled(auth, path)
        if len(self.problems) == before:
            try:
                options["auth"] = self._sign_in(value, path, url)
            except UsageError as exc:
                self.problems.append(str(exc))

    def _filled(self, value: Any, path: str) -> Any:
        """Return the `auth` of an entry with the variables of its strings replaced."""
        if isinstance(value, Mapping):
            return {name: self._filled(each, f"{path}.{name}") for name, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each, f"{path}[{n}]") for n, each in enumerate(value[:100])]
        return self._text(value, path) if isinstance(value, str) else value

    def _time(self, entry: Mapping[str, Any], options: dict[str, Any], path: str) -> None:
        if "timeout" not in entry:
            return
        given = entry["timeout"]
        if type(given) not in (int, float) or not 0 < given < 10**9:
            self._wrong(f"{path}.timeout", "expected a number of seconds above 0")
            return
        seconds = given / 1000 if given >= MOST_SECONDS else float(given)
        options["timeouts"] = Timeouts(request=seconds, most=max(seconds, Timeouts().most or seconds))

    def _flag(self, entry: Mapping[str, Any], member: str, path: str, default: bool) -> bool:
        flag = entry.get(member, default)
        if isinstance(flag, bool):
            return flag
        self._wrong(f"{path}.{member}", f"expected true or false, found {_kind(flag)}")
        return default

    def _texts(self, value: Any, path: str) -> dict[str, str]:
        if not isinstance(value, Mapping):
            self._wrong(path, f"expected an object, found {_kind(value)}")
            return {}
        return {str(name): self._text(text, f"{path}.{name}") for name, text in value.items()}

    def _text(self, value: Any, path: str) -> str:
        """Return a string with its variables replaced; an empty one where there is a problem."""
        if not isinstance(value, str):
            self._wrong(path, f"expected a string, found {_kind(value)}")
            return ""
        text, problems = self._variables.expanded(value)
        for problem in problems:
            self._wrong(path, problem)
        return "" if problems else text


def _names(keys: Mapping[str, Any]) -> dict[str, str]:
    """Return the name in the group of each key: the key itself where that is valid."""
    names = {key: key for key in keys if server_name_of(key) == key}
    for key in keys:
        if key not in names:
            name = server_name_of(key)
            names[key] = server_name_of(key, distinct=True) if name in names.values() else name
    return names


def _kind(value: Any) -> str:
    """Return the kind of a JSON value, for messages: the value itself may be secret."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return type(value).__name__


# --- variables ------------------------------------------------------------------------

_PLACE: Final = re.compile(r"\$\{([^{}]*)\}")
_NAME: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Variables:
    """Replaces `${NAME}` in the strings of a configuration."""

    def __init__(self, environment: Mapping[str, str], others: Mapping[str, str]) -> None:
        """Look up names.

        Args:
            environment: environment variables by name.
            others: further strings, which come first, by the exact characters between the braces.
        """
        self._environment = environment
        self._others = others

    def expanded(self, text: str) -> tuple[str, list[str]]:
        """Return the text with all variables replaced, once, and a problem for each that cannot be."""
        problems: list[str] = []

        def value(match: re.Match[str]) -> str:
            inside = match.group(1)
            if inside in self._others:
                return self._others[inside]
            named = _NAME.fullmatch(inside)
            if named is None:
                problems.append(f"unknown variable ${{{inside}}}: pass it to load_configuration(variables=…)")
                return ""
            name, default = named.groups()
            found = self._environment.get(name)
            if default is not None:
                return found or default
            if found is None:
                problems.append(f"there is no environment variable {name}")
            return found or ""

        if "${" in _PLACE.sub("", text):  # it would reach the server as it is
            problems.append("there is a ${ that is not closed, or that has another one in it")
        return _PLACE.sub(value, text), problems


# --- comments -------------------------------------------------------------------------

# A string is matched as a whole, so that nothing in it counts as a comment. JSON refuses a string that does not end.
_TOKEN: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_LAST_COMMA: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


def without_comments(text: bytes) -> bytes:
    """Return plain JSON of JSON with comments and trailing commas, as VS Code writes it. Lines stay where they are."""

    def blank(match: re.Match[bytes]) -> bytes:
        return match.group(1) or b" " + b"\n" * match.group(0).count(b"\n")

    return _LAST_COMMA.sub(lambda match: match.group(1) or b"", _TOKEN.sub(blank, text))
