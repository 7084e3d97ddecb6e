"""`DecisionFile`: remembers decisions with digests of what was decided on, so that a change is asked again.

The file belongs to its owner alone, and is read at each question: what another process revokes is revoked at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import trio

from trimcp.client.features.consent import Matter, Roots, ToolCall
from trimcp.consent.rules import Kind
from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.observability.cleaning import escaped
from trimcp.stores.private_directory import POLL, PrivateDirectory

DECISIONS: Final = 1000
"""The most decisions that are kept; the oldest one is forgotten for a new one."""
_FILE: Final = "decisions.json"
_MOST_BYTES: Final = 8 * 2**20
_SCHEMA: Final = 1

Edit = Callable[[list["Decision"]], list["Decision"]]


@attrs.frozen
class Subject:
    """The lasting thing that a matter is about: a tool, or the folders.

    Attributes:
        identity: of the server; see `PeerServer.identity`.
        kind: `tool` or `roots`.
        name: of the tool; empty for folders.
        parts: digests of the parts of its definition, by the words for them.
        description: in the words of the server.
    """

    identity: str
    kind: Kind
    name: str
    parts: Mapping[str, str]
    description: str = ""

    @property
    def digest(self) -> str:
        """The digest of the server's identity and of the definition."""
        return _digest([self.identity, self.kind, self.name, dict(self.parts)])


@attrs.frozen
class Decision:
    """A decision that is remembered.

    Attributes:
        id: names it, to revoke it.
        server: the name of the server on this side, when it was decided.
        address: how the server is reached, without secrets.
        is_allowed: whether it was a yes.
        subject: what was decided on.
        time: when, in seconds since 1970.
    """

    server: str
    address: str
    is_allowed: bool
    subject: Subject
    time: float

    @property
    def id(self) -> str:
        """Names the decision, to revoke it."""
        return _digest([self.subject.identity, self.subject.kind, self.subject.name])[:12]

    def changes(self, now: Subject) -> list[str]:
        """Return the parts of the definition that have changed since, in words."""
        then = self.subject.parts
        return [part for part in {**then, **now.parts} if then.get(part) != now.parts.get(part)]


def subject_of(matter: Matter) -> Subject | None:
    """Return the thing that a decision can be remembered for; None where each matter is decided by itself."""
    if isinstance(matter, ToolCall) and matter.tool is not None and matter.server.identity is not None:
        tool, claimed = matter.tool, matter.server.claimed
        parts: dict[str, Any] = {
            "the name that the server gives itself": None if claimed is None else claimed.name,
            "the title": tool.title,
            "the description": tool.description,
            "the schema of its arguments": tool.input_schema,
            "the schema of its results": tool.output_schema,
            "the annotations": None if tool.annotations is None else attrs.asdict(tool.annotations),
        }
        digests = {name: _digest(part) for name, part in parts.items()}
        return Subject(matter.server.identity, "tool", tool.name, digests, escaped(tool.description or ""))
    if isinstance(matter, Roots) and matter.server.identity is not None:
        folders = sorted(root.uri for root in matter.roots)
        return Subject(matter.server.identity, "roots", "", {"the folders": _digest(folders)})
    return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class DecisionFile:
    """Remembers decisions in a file, which all processes of one user share."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        """Makes nothing yet.

        Args:
            directory: of the file; default: `consent` in the user's directory for data of trimcp.
        """
        self._files = private_directory(directory)

    async def all(self) -> Sequence[Decision]:
        """Return all decisions, the oldest first.

        Raises:
            UsageError: the directory or the file is not the user's alone, or is a link.
        """
        return await trio.to_thread.run_sync(self._read)

    async def find(self, subject: Subject) -> Decision | None:
        """Return the decision for a tool or for the folders of a server, whether its parts have changed or not."""
        for decision in await self.all():
            kept = decision.subject
            if (kept.identity, kept.kind, kept.name) == (subject.identity, subject.kind, subject.name):
                return decision
        return None

    async def remember(self, decision: Decision) -> None:
        """Keep a decision, in place of an earlier one. Raises as `all`."""

        def edit(kept: list[Decision]) -> list[Decision]:
            return [*(each for each in kept if each.id != decision.id), decision][-DECISIONS:]

        await self._change(edit)

    async def revoke(self, ids: Iterable[str]) -> int:
        """Forget the decisions of these ids; return how many there were. Raises as `all`."""
        unwanted = frozenset(ids)
        before = len(await self.all())
        after = await self._change(lambda kept: [each for each in kept if each.id not in unwanted])
        return max(before - len(after), 0)

    async def _change(self, edit: Edit) -> list[Decision]:
        while True:
            changed = await trio.to_thread.run_sync(self._try_change, edit)
            if changed is not None:
                return changed
            await trio.sleep(POLL)

    def _try_change(self, edit: Edit) -> list[Decision] | None:
        """Change the file; None while another process does."""
        from filelock import Timeout

        self._files.make()
        lock = self._files.lock("decisions.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        try:
            changed = edit(self._read())
            document = {"schema": _SCHEMA, "decisions": [attrs.asdict(each) for each in changed]}
            self._files.replace(_FILE, orjson.dumps(document, option=orjson.OPT_INDENT_2))
            return changed
        finally:
            lock.release()

    def _read(self) -> list[Decision]:
        data = self._files.read(_FILE, _MOST_BYTES)
        if data is None:
            return []
        try:
            return [_decision(each) for each in orjson.loads(data)["decisions"]]
        except (ValueError, KeyError, TypeError) as exc:
            # As if nothing were remembered: the person is asked again.
            log.warning(events.CONSENT_DAMAGED, path=str(self._files.path / _FILE), why=str(exc))
            return []


def _decision(stored: Mapping[str, Any]) -> Decision:
    subject = Subject(**stored["subject"])
    if not isinstance(subject.parts, dict) or type(stored["is_allowed"]) is not bool:
        raise TypeError("it has other fields")
    return Decision(**{**stored, "subject": subject})


def decision_now(server: str, address: str, subject: Subject, *, is_allowed: bool) -> Decision:
    """Return a decision that is made now."""
    return Decision(server, address, is_allowed, subject, time.time())


def private_directory(directory: str | os.PathLike[str] | None) -> PrivateDirectory:
    """Return the directory of decisions and of the audit log.

    Raises:
        UsageError: packages are missing.
    """
    try:
        import filelock as _  # noqa: F401
        from platformdirs import user_data_path
    except ModuleNotFoundError as exc:
        raise UsageError.not_installed(exc.name, "consent") from exc
    return PrivateDirectory(user_data_path("trimcp") / "consent" if directory is None else Path(directory), "decisions")
