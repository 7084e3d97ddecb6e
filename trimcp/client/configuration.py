"""Files that say which servers there are, as hosts of MCP have them: read, checked, and made into targets.

They hold `{"mcpServers": {NAME: {"command": …, "args": […]} or {"url": …}}}`; VS Code writes `servers`, and allows
comments. No specification says what is in them, so what is not known is passed over with a log line, and what is
known must be what it should be. `trimcp.open_group` connects what is found; nothing is started here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from trimcp.client.commented_json import without_comments
from trimcp.client.expansion import Variables
from trimcp.client.group.naming import server_name_of
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.types.revisions import BY_VERSION

MOST_BYTES: Final = 2**20
"""The longest file that is read."""
MOST_SECONDS: Final = 1000
"""A timeout from here on is taken for milliseconds: some hosts count in those, and none waits that long."""

TRANSPORTS: Final = {
    "stdio": "stdio",
    "http": "http",
    "streamablehttp": "http",
    "sse": "sse",
    "ws": "websocket",
    "websocket": "websocket",
}
"""What the values of `type`, without case and hyphens, stand for."""

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
_URL: Final = frozenset({"url", "headers"})


@attrs.frozen
class ConfiguredServer:
    """One server of a configuration.

    Attributes:
        name: what the group calls it: the key, or a name made of it where that can be none.
        key: what the configuration calls it.
        target: for `trimcp.connect`: a command, or a URL.
        options: the options of `trimcp.connect` that go with it.
    """

    name: str
    key: str
    target: list[str] | str = attrs.field(repr=False)  # both may hold secrets
    options: dict[str, Any] = attrs.field(repr=False)


@attrs.frozen
class Configuration:
    """What `load_configuration` has read.

    Attributes:
        servers: those to connect to, by name, in the order of the file.
        disabled: the keys of those that are disabled.
    """

    servers: Mapping[str, ConfiguredServer]
    disabled: tuple[str, ...] = ()


def load_configuration(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Configuration:
    """Read which servers there are, from a file such as Claude Desktop and VS Code have, or from its contents.

    In every string of a server, `${NAME}` and `${env:NAME}` stand for an environment variable, and
    `${NAME:-text}` for the text where there is none, or it is empty. Nothing else is looked up, and no
    place searched for files.

    Args:
        source: the path of the file, or what is in it.
        environment: the variables that there are; those of this process, if not given.
        variables: what else may stand between `${` and `}`, to the letter: `{"workspaceFolder": …,
            "input:token": …}`.

    Raises:
        UsageError: the file cannot be read; or something in it is not what it should be, and the message
            says of every such thing which server and which key it is. Values are not in it.
    """
    where = "" if isinstance(source, Mapping) else f"{os.fspath(source)}: "
    contents = source if isinstance(source, Mapping) else _read(source)
    reading = Reading(Variables(os.environ if environment is None else environment, variables or {}))
    configuration = reading.read(contents)
    if reading.problems:
        raise UsageError(where + "; ".join(reading.problems))
    return configuration


def _read(path: str | os.PathLike[str]) -> Any:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{os.fspath(path)}: cannot be read: {exc.strerror}") from exc
    if len(data) > MOST_BYTES:
        raise UsageError(f"{os.fspath(path)}: longer than {MOST_BYTES} bytes, so no configuration")
    data = data.removeprefix(b"\xef\xbb\xbf")  # what editors on Windows begin files with
    try:
        return loads(without_comments(data))
    except InvalidJson as exc:
        raise UsageError(f"{os.fspath(path)}: no JSON: {exc}") from None


class Reading:
    """One reading: what is wrong is collected, so that all of it is told at once."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def _wrong(self, path: str, problem: str) -> None:
        self.problems.append(f"{path}: {problem}")

    def read(self, contents: Any) -> Configuration:
        """What is there; `problems` says whether that is so."""
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
        """What the server is reached by; `type` says so, or what there is beside it."""
        has = [member for member in ("command", "url") if member in entry]
        if len(has) != 1:
            self._wrong(path, "expected either command or url" + (", found both" if has else ", found neither"))
            return None
        word = next((member for member in ("type", "transport") if member in entry), None)
        if word is None:
            return "stdio" if has == ["command"] else self._of_scheme(entry["url"])
        said = entry[word]
        transport = None
        if isinstance(said, str):
            transport = TRANSPORTS.get(said.lower().replace("-", "").replace("_", ""))
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
        if transport == "sse":  # the others are what their URLs say
            options["transport"] = transport
        if "headers" in entry:
            options["headers"] = self._texts(entry["headers"], f"{path}.headers")
        return url, options

    def _time(self, entry: Mapping[str, Any], options: dict[str, Any], path: str) -> None:
        if "timeout" not in entry:
            return
        from trimcp.client.client import Timeouts

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
        """A string, with what stands in it for variables; empty where something is wrong."""
        if not isinstance(value, str):
            self._wrong(path, f"expected a string, found {_kind(value)}")
            return ""
        text, problems = self._variables.expanded(value)
        for problem in problems:
            self._wrong(path, problem)
        return "" if problems else text


def _names(keys: Mapping[str, Any]) -> dict[str, str]:
    """What the group calls each: those that can be called by their keys are."""
    names = {key: key for key in keys if server_name_of(key) == key}
    for key in keys:
        if key not in names:
            name = server_name_of(key)
            names[key] = server_name_of(key, distinct=True) if name in names.values() else name
    return names


def _kind(value: Any) -> str:
    """What a JSON value is; the value itself may be secret."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return type(value).__name__
