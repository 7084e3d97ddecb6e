"""Compares what a server sends in a replay with what was recorded.

Some values must differ and do not count: ids, progress tokens, and times. Handles are values that the server chooses
and the client sends back: cursors, request states, ids of tasks. They are not compared, but noted, so that the replay
sends the new ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from trimcp.errors import UsageError
from trimcp.recording.matching import same_scalar
from trimcp.recording.steps import Step
from trimcp.types.metadata import SUBSCRIPTION_ID
from trimcp.view.masking import MASKED

HANDLES: Final = frozenset({"nextCursor", "requestState", "taskId", "elicitationId"})
DIFFERING: Final = frozenset(
    {"id", "jsonrpc", "progressToken", "requestId", "traceparent", "tracestate", SUBSCRIPTION_ID}
)
"""Members whose values are of one session alone."""
TIMES: Final = re.compile(r"(?:.*[a-z])?(?:At|Time|Timestamp|Modified)|timestamp|time|date", re.ASCII)
"""Names of members that hold times, whatever the form of their values."""
MOST: Final = 100
"""Differences of one request that are kept."""
MOST_HANDLES: Final = 10_000
"""Handles that are kept, the newest."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?")
_INDEX: Final = re.compile(r"\[\d+\]")
_PLAIN: Final = re.compile(r"[A-Za-z_][\w-]*")
_STEP: Final = re.compile(r"\.\.|\.?\*|\[\*\]|\[\d{1,9}\]|\[\"[^\"]*\"\]|\[\'[^\']*\'\]|\.?[^.\[\]*\s]+")


class Absent:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = Absent()


@attrs.frozen
class Difference:
    """One value that is not as recorded."""

    path: str
    """Where it is in the message, such as `$.result.content[0].text`."""
    recorded: Any
    replayed: Any

    def as_json(self) -> dict[str, Any]:
        """Return it for programs; a value that is not there has no member."""
        values = {"recorded": self.recorded, "replayed": self.replayed}
        return {"path": self.path, **{name: value for name, value in values.items() if value is not ABSENT}}


class IgnoredPaths:
    """The paths that the user does not want to be compared: `$.result.content[*].text`, `$..version`."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        """
        Raises:
            UsageError: a path is not valid.
        """
        self._patterns = [pattern_of(path) for path in paths]

    def has(self, path: str) -> bool:
        """Return whether a value is not compared."""
        return any(pattern.fullmatch(path) for pattern in self._patterns)


def pattern_of(path: str) -> re.Pattern[str]:
    """Return what matches the paths of the values that a path with wildcards means.

    Raises:
        UsageError: the path is not valid.
    """
    steps = _STEP.findall(path[1:])
    if path[:1] != "$" or not steps or "".join(steps) != path[1:]:
        raise UsageError(
            f"Invalid path {path!r}: write it as $.result.content[0].text, $.result.tools[*].title or $..version"
        )
    parts: list[str] = []
    before = ""
    for step in steps:
        if step == "..":
            before = ".*?"
            continue
        if step in ("*", ".*", "[*]"):
            part = r"(?:\.[\w-]+|\[[^\]]*\])"
        elif _INDEX.fullmatch(step):
            part = re.escape(step)
        else:
            part = re.escape(member("", step[2:-2] if step[0] == "[" else step.removeprefix(".")))
        parts.append(before + part)
        before = ""
    return re.compile(r"\$" + "".join(parts), re.DOTALL)


def member(path: str, name: str) -> str:
    """Return the path of a member of an object."""
    return f"{path}.{name}" if _PLAIN.fullmatch(name) else f'{path}["{name}"]'


class Comparison:
    """Compares the messages of one session, and knows its handles."""

    def __init__(self, ignored: IgnoredPaths) -> None:
        self._ignored = ignored
        self._handles: dict[str, str] = {}
        """Recorded handles, and those of the replay."""

    # --- handles ----------------------------------------------------------------------

    def learn(self, recorded: Any, replayed: Any) -> None:
        """Note the handles of an answer, for the requests that follow."""
        for _ in self._walk(recorded, replayed, "$", ""):
            pass

    def translated(self, value: Any) -> Any:
        """Return a value of the client with the handles of the replay."""
        if isinstance(value, dict):
            return {key: self.translated(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.translated(each) for each in value]
        return self._handles.get(value, value) if isinstance(value, str) else value

    # --- comparing --------------------------------------------------------------------

    def of_messages(self, recorded: Any, replayed: Any) -> list[Difference]:
        """Return how two messages differ."""
        found: list[Difference] = []
        for difference in self._walk(recorded, replayed, "$", ""):
            found.append(difference)
            if len(found) == MOST:
                break
        return found

    def of_steps(self, recorded: Step, replayed: Step) -> list[Difference]:
        """Return how the messages differ that a server sent because of the same message of the client."""
        found: list[Difference] = []
        if recorded.answer is not None and replayed.answer is not None:
            found += self.of_messages(recorded.answer.message, replayed.answer.message)
        return (found + self._of_questions(recorded, replayed) + self._of_notifications(recorded, replayed))[:MOST]

    def _of_questions(self, recorded: Step, replayed: Step) -> list[Difference]:
        before, after = _questions(recorded), _questions(replayed)
        found: list[Difference] = []
        for number in range(max(len(before), len(after))):
            path = f"questions[{number}]"
            one = before[number] if number < len(before) else ABSENT
            other = after[number] if number < len(after) else ABSENT
            if one is ABSENT or other is ABSENT:
                found.append(Difference(path, one, other))
            else:
                found += [
                    attrs.evolve(each, path=path + each.path.removeprefix("$")) for each in self.of_messages(one, other)
                ]
        return found

    def _of_notifications(self, recorded: Step, replayed: Step) -> list[Difference]:
        """Compare notifications in any order; progress comes at the pace of the peer, so only whether there was any."""
        before, after = _notifications(recorded), _notifications(replayed)
        found: list[Difference] = []
        had, has = (any(_is_progress(each) for each in side) for side in (before, after))
        if had is not has and recorded.answer is not None:
            found.append(Difference("progress", "reported" if had else ABSENT, "reported" if has else ABSENT))
        left = [each for each in after if not _is_progress(each)]
        for one in before:
            if _is_progress(one):
                continue
            same = next((each for each in left if not self.of_messages(one, each)), None)
            if same is None:
                found.append(Difference("notifications", one, ABSENT))
            else:
                left.remove(same)
        return found + [Difference("notifications", ABSENT, each) for each in left]

    def _walk(self, recorded: Any, replayed: Any, path: str, name: str) -> Iterator[Difference]:
        if name in DIFFERING or self._ignored.has(path) or recorded == MASKED:
            return
        if isinstance(recorded, dict) and isinstance(replayed, dict):
            for key in [*recorded, *(key for key in replayed if key not in recorded)]:
                one, other = recorded.get(key, ABSENT), replayed.get(key, ABSENT)
                yield from self._walk(one, other, member(path, key), key)
        elif isinstance(recorded, list) and isinstance(replayed, list):
            for number in range(max(len(recorded), len(replayed))):
                one = recorded[number] if number < len(recorded) else ABSENT
                other = replayed[number] if number < len(replayed) else ABSENT
                yield from self._walk(one, other, f"{path}[{number}]", "")
        elif not self._is_same(recorded, replayed, name):
            yield Difference(path, recorded, replayed)

    def _is_same(self, recorded: Any, replayed: Any, name: str) -> bool:
        """Return whether two values are the same, as far as they can be.

        At least one of them is no object and no array.
        """
        if isinstance(recorded, dict | list | Absent) or isinstance(replayed, dict | list | Absent):
            return False
        if isinstance(recorded, str) and isinstance(replayed, str):
            if name in HANDLES:
                self._handles[recorded] = replayed
                if len(self._handles) > MOST_HANDLES:
                    del self._handles[next(iter(self._handles))]
                return True
            recorded, replayed = _TIME.sub("<time>", recorded), _TIME.sub("<time>", replayed)
        elif TIMES.fullmatch(name) and type(recorded) in (int, float) and type(replayed) in (int, float):
            return True
        return same_scalar(recorded, replayed)


def _questions(step: Step) -> list[Mapping[str, Any]]:
    return [entry.message for entry in step.replies if entry.kind == "request"]


def _notifications(step: Step) -> list[Mapping[str, Any]]:
    return [entry.message for entry in step.replies if entry.kind == "notification"]


def _is_progress(message: Mapping[str, Any]) -> bool:
    return bool(message["method"] == "notifications/progress")
