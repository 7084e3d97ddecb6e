"""The command `consent`: lists and revokes the decisions that are remembered."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any, Final

import trio

from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.consent_dialog import directory
from trimcp.cli.terminal import Terminal, print_json, show
from trimcp.consent.decisions import Decision, DecisionFile
from trimcp.errors import UsageError
from trimcp.observability.cleaning import escaped

_DESCRIPTION: Final = """\
List and revoke the decisions that are remembered: which tools may be called, and which may not."""
_EXAMPLES: Final = """\
  trimcp consent list
  trimcp consent revoke 3f9a61c2e0b4
  trimcp consent revoke --server notes
  trimcp consent revoke --all"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trimcp consent list [--json]\n       trimcp consent revoke [ID ...] [--server NAME] [--all]"
    parser.add_argument("action", choices=("list", "revoke"), help="what to do")
    parser.add_argument("ids", nargs="*", metavar="ID", help="a decision, as `list` shows it")
    parser.add_argument("--server", metavar="NAME", help="all decisions about this server, by its name or its address")
    parser.add_argument("--all", action="store_true", help="all decisions")
    parser.add_argument("--json", action="store_true", help="print the decisions as JSON, on stdout")


def _run(options: argparse.Namespace) -> int:
    if options.action == "list" and options.ids:
        raise UsageError(f"list takes no ID: remove {options.ids[0]}")
    code: int = trio.run(_list if options.action == "list" else _revoke, options)
    return code


async def _list(options: argparse.Namespace) -> int:
    decisions = _of_server(await DecisionFile(directory()).all(), options.server)
    if options.json:
        print_json([_as_json(each) for each in decisions])
        return exits.OK
    for each in decisions:
        does = "allow" if each.is_allowed else "deny "
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.time))
        show(f"{each.id}  {does}  {when}  {escaped(each.server, 60)}  {escaped(_about(each), 60)}")
    if not decisions:
        Terminal().say("no decision is remembered")
    return exits.OK


async def _revoke(options: argparse.Namespace) -> int:
    file = DecisionFile(directory())
    known = {each.id for each in await file.all()}
    unknown = [each for each in options.ids if each not in known]
    if unknown:
        raise UsageError(f"there is no decision {unknown[0]}: trimcp consent list shows them")
    if not (options.ids or options.all or options.server):
        raise UsageError("no ID is given: write the ID of a decision, --server NAME or --all")
    chosen = set(options.ids)
    if options.all or options.server:
        chosen |= {each.id for each in _of_server(await file.all(), options.server)}
    count = await file.revoke(chosen)
    Terminal().say(f"{count} {'decision is' if count == 1 else 'decisions are'} revoked")
    return exits.OK


def _of_server(decisions: Sequence[Decision], server: str | None) -> list[Decision]:
    return [each for each in decisions if server is None or server in (each.server, each.address)]


def _about(decision: Decision) -> str:
    return decision.subject.name if decision.subject.kind == "tool" else "the folders that it may work in"


def _as_json(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "server": decision.server,
        "address": decision.address,
        "kind": decision.subject.kind,
        "tool": decision.subject.name or None,
        "allowed": decision.is_allowed,
        "time": decision.time,
        "digest": decision.subject.digest,
    }


COMMANDS: Final = {"consent": Command(_DESCRIPTION, _configure, _run, _EXAMPLES)}
