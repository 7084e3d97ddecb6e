"""The hosts, as data: where their configuration files are, and how an entry looks in them.

A place begins with one of these, and may have `*` in it:

    {home}      the home directory
    {config}    $XDG_CONFIG_HOME or ~/.config; ~/Library/Application Support; %APPDATA%
    {dot}       $XDG_CONFIG_HOME or ~/.config; ~/.config; %APPDATA%
    {local}     %LOCALAPPDATA%
    {copilot}   $COPILOT_HOME, or ~/.copilot
    {codex}     $CODEX_HOME, or ~/.codex
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs

System = Literal["linux", "macos", "windows"]
Format = Literal["jsonc", "toml", "yaml"]


@attrs.frozen
class Shape:
    """How the entry of a server looks in a file of a host."""

    above: str = "mcpServers"
    """The member that has the entries."""
    within: tuple[str, ...] = ()
    """The members that lead to it; empty where it is at the top."""
    format: Format = "jsonc"
    command: str = "command"
    env: str = "env"
    url: str | None = "url"
    """None: the host has no servers at URLs in this file."""
    headers: str = "headers"
    local: Mapping[str, Any] = MappingProxyType({})
    """Further members of a server that is started."""
    remote: Mapping[str, Any] = MappingProxyType({})
    """Further members of a server at a URL."""
    reference: str | None = None
    """How a value says that the host shall take it from the variable NAME."""
    names: str | None = None
    """The member that lists the names of variables which the host hands on, where there is no text for that."""
    inputs: bool = False
    """Whether the host asks the user for secrets that `inputs` describes."""

    def path_of(self, name: str) -> list[str]:
        """Return the members that lead to an entry."""
        return [*self.within, self.above, name]

    @property
    def has_secrets(self) -> bool:
        """Whether an entry can name a secret instead of having it."""
        return self.reference is not None or self.names is not None


@attrs.frozen
class Host:
    """A program that starts servers."""

    key: str
    title: str
    shape: Shape
    places: Mapping[str, tuple[str, ...]]
    """The user's file by system, best first; `any` for all systems."""
    project: str | None = None
    """The file in the folder of a project."""
    project_shape: Shape | None = None
    """Its shape, where that is another one."""
    locals: str | None = None
    """The member of the user's file that has entries for each folder of a project."""
    signs: tuple[str, ...] = ()
    """Places that are there if the host is, beside the folder of its file."""

    def shape_of(self, *, project: bool) -> Shape:
        """Return the shape of the user's file, or of the one in a project."""
        return self.project_shape if project and self.project_shape is not None else self.shape


def _anywhere(*places: str) -> Mapping[str, tuple[str, ...]]:
    return {"any": places}


_STDIO: Final = MappingProxyType({"type": "stdio"})
_HTTP: Final = MappingProxyType({"type": "http"})
_CLINE: Final = "globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"

_CURSOR: Final = Shape(reference="${{env:{name}}}")

HOSTS: Final[Mapping[str, Host]] = {
    host.key: host
    for host in (
        Host(
            "claude-desktop",
            "Claude Desktop",
            Shape(url=None),
            {
                "any": ("{config}/Claude/claude_desktop_config.json",),
                "windows": (
                    "{local}/Packages/*Claude*/LocalCache/Roaming/Claude/claude_desktop_config.json",
                    "{config}/Claude/claude_desktop_config.json",
                ),
            },
        ),
        Host(
            "claude-code",
            "Claude Code",
            Shape(local=_STDIO, remote=_HTTP, reference="${{{name}}}"),
            _anywhere("{home}/.claude.json"),
            project=".mcp.json",
            locals="projects",
            signs=("{home}/.claude.json", "{home}/.claude"),
        ),
        Host("cursor", "Cursor", _CURSOR, _anywhere("{home}/.cursor/mcp.json"), project=".cursor/mcp.json"),
        Host(
            "vscode",
            "VS Code",
            Shape(above="servers", local=_STDIO, remote=_HTTP, reference="${{input:{name}}}", inputs=True),
            _anywhere("{config}/Code/User/mcp.json"),
            project=".vscode/mcp.json",
        ),
        Host(
            "copilot-cli",
            "Copilot CLI",
            Shape(
                local=MappingProxyType({"type": "local", "tools": ["*"]}),
                remote=MappingProxyType({"type": "http", "tools": ["*"]}),
                reference="${{{name}}}",
            ),
            _anywhere("{copilot}/mcp-config.json"),
        ),
        Host(
            "windsurf",
            "Windsurf",
            Shape(url="serverUrl", reference="${{env:{name}}}"),
            _anywhere("{home}/.codeium/windsurf/mcp_config.json"),
        ),
        Host(
            "zed",
            "Zed",
            Shape(above="context_servers"),
            {"any": ("{dot}/zed/settings.json",), "windows": ("{config}/Zed/settings.json",)},
            project=".zed/settings.json",
        ),
        Host(
            "gemini-cli",
            "Gemini CLI",
            Shape(url="httpUrl", reference="${{{name}}}"),
            _anywhere("{home}/.gemini/settings.json"),
            project=".gemini/settings.json",
        ),
        Host(
            "codex",
            "Codex",
            Shape(above="mcp_servers", format="toml", headers="http_headers", names="env_vars"),
            _anywhere("{codex}/config.toml"),
            project=".codex/config.toml",
        ),
        Host(
            "goose",
            "Goose",
            Shape(
                above="extensions",
                format="yaml",
                command="cmd",
                env="envs",
                url="uri",
                local=MappingProxyType({"type": "stdio", "enabled": True, "timeout": 300}),
                remote=MappingProxyType({"type": "streamable_http", "enabled": True, "timeout": 300}),
                names="env_keys",
            ),
            {"any": ("{dot}/goose/config.yaml",), "windows": ("{config}/Block/goose/config/config.yaml",)},
        ),
        Host(
            "cline",
            "Cline",
            Shape(remote=MappingProxyType({"type": "streamableHttp"})),
            _anywhere("{home}/.cline/data/settings/cline_mcp_settings.json", f"{{config}}/Code/User/{_CLINE}"),
        ),
        Host("lm-studio", "LM Studio", Shape(), _anywhere("{home}/.lmstudio/mcp.json")),
    )
}
"""The hosts by the value of `--host`."""

OTHER: Final = Host("other", "another host", Shape(), {})
"""For `--print`: the shape that JetBrains IDEs and most others read."""


def this_system() -> System:
    """Return the system that we run on; every Unix but macOS counts as Linux."""
    systems: dict[str, System] = {"win32": "windows", "darwin": "macos"}
    return systems.get(sys.platform, "linux")


def find_file(
    host: Host, *, system: System | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Path | None, list[Path]]:
    """Find the user's file of a host.

    Args:
        host: the host.
        system: the system; ours, if not given.
        environment: the environment variables; ours, if not given.

    Returns:
        The file, which is missing if only its host is there, or None if the host is not there; and the places that
        were looked at.
    """
    system = system or this_system()
    bases = _bases(system, os.environ if environment is None else environment)
    places = [Path(_expanded(place, bases)) for place in host.places.get(system, host.places.get("any", ()))]
    for path in places:
        if path.is_file():
            return path, places
    for path in places:
        if any(os.path.exists(_expanded(sign, bases)) for sign in host.signs) or (
            not host.signs and path.parent.is_dir()
        ):
            return path, places
    return None, places


def _bases(system: System, environment: Mapping[str, str]) -> dict[str, str]:
    def variable(name: str, default: str) -> str:
        return environment.get(name) or default

    home = variable("USERPROFILE" if system == "windows" else "HOME", os.path.expanduser("~"))
    roaming = variable("APPDATA", f"{home}/AppData/Roaming")
    xdg = variable("XDG_CONFIG_HOME", f"{home}/.config")
    return {
        "home": home,
        "config": {"linux": xdg, "macos": f"{home}/Library/Application Support", "windows": roaming}[system],
        "dot": {"linux": xdg, "macos": f"{home}/.config", "windows": roaming}[system],
        "local": variable("LOCALAPPDATA", f"{home}/AppData/Local"),
        "copilot": variable("COPILOT_HOME", f"{home}/.copilot"),
        "codex": variable("CODEX_HOME", f"{home}/.codex"),
    }


def _expanded(place: str, bases: Mapping[str, str]) -> str:
    """Return a place as a path; of several that its `*` stands for, the first in the order of names."""
    path = place.format_map(bases)
    if "*" not in place:
        return path
    folder, _, rest = place.format_map({name: glob.escape(base) for name, base in bases.items()}).rpartition("/")
    found = sorted(glob.glob(folder))
    return f"{found[0]}/{rest}" if found else path
