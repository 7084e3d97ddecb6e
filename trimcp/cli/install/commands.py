"""`trimcp install TARGET --host HOST` and `trimcp uninstall NAME --host HOST`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.arguments import did_you_mean
from trimcp.cli.install import edit as edits
from trimcp.cli.install import expected, host_file
from trimcp.cli.install.entry import Wanted, entry_of, wanted_of
from trimcp.cli.install.hosts import HOSTS, OTHER, Host, Shape, find_file
from trimcp.cli.install.jsonc_tree import InvalidText
from trimcp.cli.terminal import BOLD, DIM, show
from trimcp.errors import UsageError


def _configure_both(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="HOST", help=f"one of {', '.join(HOSTS)}")
    parser.add_argument("--hosts", action="store_true", help="list the hosts, and their files on this computer")
    where = parser.add_argument_group("the file")
    where.add_argument("--project", action="store_true", help="the file of the project in the current directory")
    where.add_argument(
        "--local", action="store_true", help="the user's file, but for the project in the current directory"
    )
    where.add_argument("--config-path", metavar="FILE", help="this file, in the format of the host")
    where.add_argument("--dry-run", action="store_true", help="show the change, and do not make it")


def _configure_install(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trimcp install FILE.py[:NAME] | URL --host HOST [options]"
    parser.add_argument("target", nargs="?", metavar="TARGET", help="a Python file with a trimcp.Server, or a URL")
    _configure_both(parser)
    parser.add_argument("--print", action="store_true", help="print the entry, and change nothing")
    parser.add_argument("--replace", action="store_true", help="replace another server of the same name")
    parser.add_argument("--no-start", action="store_true", help="do not start the server to see whether it answers")
    entry = parser.add_argument_group("the entry")
    entry.add_argument("--name", help="its name; the default is that of the server")
    entry.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable")
    entry.add_argument(
        "--secret", action="append", default=[], metavar="NAME", help="a variable whose value stays out of the file"
    )
    entry.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="a header field for a URL")


def _configure_uninstall(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trimcp uninstall NAME --host HOST [options]"
    parser.add_argument("name", nargs="?", metavar="NAME", help="the name of the entry")
    _configure_both(parser)


def _install(options: argparse.Namespace) -> int:
    if options.hosts:
        return _list_hosts()
    if options.target is None:
        raise UsageError("no TARGET is given: name a Python file with a trimcp.Server, or a URL")
    wanted = wanted_of(
        options.target,
        name=options.name,
        env=dict(_pairs(options.env, "=", "--env takes NAME=VALUE")),
        headers=dict(_pairs(options.header, ":", "--header takes NAME: VALUE")),
        secrets=options.secret,
    )
    if options.print:
        host = OTHER if options.host is None else _host(options.host)
        entry = entry_of(wanted, host, project=options.project)
        sys.stdout.write(edits.added("", host.shape_of(project=options.project), wanted, entry, replace=False).after)
        return exits.OK
    host, path, shape = _place(options)
    entry = entry_of(wanted, host, project=options.project)
    with _about(path):
        edit = edits.added(host_file.read(path), shape, wanted, entry, replace=options.replace)
    if options.dry_run:
        return _show_difference(path, edit)
    works = options.no_start or _works(wanted)
    if not edit.is_change:
        show(f"{wanted.name} is in {path} already: nothing to change")
    else:
        _write(path, edit)
        show(f"{wanted.name} is now in {path}: restart {host.title} if it runs")
    return exits.OK if works else exits.FAILED


def _works(wanted: Wanted) -> bool:
    """Start the server once, and say whether it answers. Its entry is written in both cases."""
    from trimcp.cli.install.trial import try_entry

    trial = try_entry(wanted)
    if trial.works:
        show(f"started as the host would: {trial.text}", DIM)
    else:
        print(f"trimcp: started as the host would, it does not work: {trial.text}", file=sys.stderr)
    return trial.works


def _uninstall(options: argparse.Namespace) -> int:
    if options.hosts:
        return _list_hosts()
    if options.name is None:
        raise UsageError("no NAME is given: name the entry to remove")
    host, path, shape = _place(options)
    with _about(path):
        edit = edits.taken_out(host_file.read(path), shape, options.name)
    if options.dry_run:
        return _show_difference(path, edit)
    if not edit.is_change:
        show(f"{options.name} is not in {path}: nothing to change")
        return exits.OK
    _write(path, edit)
    show(f"{options.name} is no longer in {path}: restart {host.title} if it runs")
    return exits.OK


# --- where ----------------------------------------------------------------------------


def _host(key: str) -> Host:
    if key not in HOSTS:
        raise UsageError(f"there is no host {key}{did_you_mean(key, HOSTS)}")
    return HOSTS[key]


def _place(options: argparse.Namespace) -> tuple[Host, Path, Shape]:
    """Return the host, its file and the shape of that.

    Raises:
        UsageError: the host is not known or not there, or has no file for a project.
    """
    if options.host is None:
        raise UsageError(f"no host is given: add --host with one of {', '.join(HOSTS)}; --print is for others")
    host = _host(options.host)
    if options.project and options.local:
        raise UsageError("--project and --local are two places: give one of them")
    if options.project and host.project is None:
        raise UsageError(f"{host.title} has no file for projects: leave out --project")
    if options.local and host.locals is None:
        raise UsageError(
            f"{host.title} has no entries by project in its user's file: give --project or none of the two"
        )
    path = _path(options, host)
    return host, path, _local(host, path) if options.local else host.shape_of(project=options.project)


def _path(options: argparse.Namespace, host: Host) -> Path:
    """Return the file of a host."""
    if options.config_path is not None:
        path = Path(options.config_path).expanduser()
        if not path.parent.is_dir():
            raise UsageError(f"there is no directory {path.parent}: make it, or give another --config-path")
        return path
    if options.project and host.project is not None:
        return Path(host.project).absolute()
    found, places = find_file(host)
    if found is None:
        looked = " or ".join(str(place) for place in places)
        raise UsageError(f"{host.title} is not on this computer (no {looked}): start it once, or give --config-path")
    return found


def _local(host: Host, path: Path) -> Shape:
    """Return the shape of the entries that the user's file has for the current directory, or one above it."""
    assert host.locals is not None
    with _about(path):
        known = expected.at(edits.formats(host.shape.format).load(host_file.read(path)), [host.locals])
    here = Path.cwd()
    folder = next((str(each) for each in (here, *here.parents) if str(each) in (known or {})), str(here))
    return attrs.evolve(host.shape, within=(host.locals, folder))


def _list_hosts() -> int:
    for host in HOSTS.values():
        path, places = find_file(host)
        show(f"{host.key:<16}{host.title}", BOLD if path is not None else None)
        if path is None:
            state = f"not on this computer: no {places[-1]}"
        else:
            state = str(path) if path.exists() else f"{path} (not yet there)"
        show(f"{'':<16}{state}", DIM)
        if host.project is not None:
            show(f"{'':<16}{host.project} with --project", DIM)
        if host.locals is not None:
            show(f"{'':<16}the same file, for the current directory, with --local", DIM)
    return exits.OK


def _pairs(texts: Iterable[str], mark: str, expected: str) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, found, value = text.partition(mark)
        if not found or not name.strip():
            raise UsageError(f"{expected}, not {name[:40]!r}")  # the rest may be secret
        yield name.strip(), value.strip() if mark == ":" else value


# --- the change -----------------------------------------------------------------------


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the file in errors about its text."""
    try:
        yield
    except InvalidText as exc:
        raise UsageError(f"{path}: {exc}; nothing was changed") from None


def _show_difference(path: Path, edit: edits.Edit) -> int:
    if edit.is_change:
        show(host_file.difference(path, edit).rstrip("\n"))
    else:
        show(f"nothing to change in {path}")
    return exits.OK


def _write(path: Path, edit: edits.Edit) -> None:
    backup = host_file.write(path, edit)
    if backup is not None:
        show(f"the file as it was is {backup}", DIM)


COMMANDS: Final = {
    "install": Command(
        "Add a server to the configuration file of a host. Comments, other entries and the file's mode stay.",
        _configure_install,
        _install,
        """\
  trimcp install server.py --host cursor
  trimcp install server.py:notes --host vscode --project --secret NOTES_TOKEN
  trimcp install https://notes.example/mcp --host claude-code
  trimcp install server.py --host claude-code --local   # for you, in this project
  trimcp install server.py --host zed --dry-run
  trimcp install server.py --print                      # for all other hosts
  trimcp install --hosts""",
    ),
    "uninstall": Command(
        "Remove a server from the configuration file of a host.",
        _configure_uninstall,
        _uninstall,
        """\
  trimcp uninstall notes --host cursor
  trimcp uninstall notes --host codex --dry-run""",
    ),
}
