"""Calls a subject with generated arguments, and finds the answers that break a rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from trimcp.client.client import Client
from trimcp.codec.jsontext import dumps
from trimcp.errors import InvalidResult, RequestFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.observability.log import LogLine
from trimcp.testing.server_checks.faults import CheckReport
from trimcp.testing.server_checks.steps import Over, Steps, told
from trimcp.testing.server_checks.subjects import Arguments, Subject

SHOWN: Final = 300
"""Characters of the arguments that a fault shows."""


class _SlowCall(Exception):
    """A call has taken longer than it may."""


@attrs.frozen
class Calls:
    """The calls of one subject."""

    steps: Steps
    subject: Subject
    report: CheckReport
    most: int
    """How many calls are made, before a failing one is made smaller."""

    async def make(self, over: Over) -> None:
        """Make the calls: a step."""
        from hypothesis import errors

        async with self.steps.connect() as client:
            with log.captured() as lines:
                try:
                    await trio.to_thread.run_sync(self._explore, client, lines)
                except (AssertionError, _SlowCall) as exc:
                    self._found(str(exc))
                except errors.Unsatisfiable:
                    problem = "no arguments were found that fit: give a strategy in `arguments`"
                    self.steps.found(self.subject.kind, self.subject.name, "schema", problem)
                except errors.Flaky as exc:
                    why = exc.__cause__ or exc.__context__ or exc
                    self._found(f"the same arguments do not always fail: {why}")
                else:
                    if self.subject.kind == "prompt" and self.report.refusals == self.report.calls:
                        self._found(f"all {self.report.calls} calls were refused: give a strategy in `arguments`")
            over()

    def _found(self, problem: str) -> None:
        self.steps.found(self.subject.kind, self.subject.name, "call", problem)

    def _explore(self, client: Client, lines: Any) -> None:
        """Call with generated arguments. Runs in a thread of the loop."""
        from hypothesis import HealthCheck, Phase, given, settings

        slow: list[str] = []

        @settings(
            max_examples=self.most,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            database=None,
            derandomize=True,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @given(self.subject.values)
        def call(arguments: Arguments) -> None:
            if slow:
                return  # each further call might take as long
            try:
                trio.from_thread.run(self._call, client, arguments, lines)
            except _SlowCall as exc:
                slow.append(str(exc))

        call()
        if slow:
            raise _SlowCall(slow[0])

    async def _call(self, client: Client, arguments: Arguments, lines: Any) -> None:
        """Make one call.

        Raises:
            AssertionError: the answer is a fault.
        """
        lines.clear()
        self.report.examples.append(arguments)
        given = shown(arguments)
        try:
            with trio.fail_after(self.steps.timeout):
                is_refused = await self.subject.call(client, arguments)
        except trio.TooSlowError:
            raise _SlowCall(f"no result after {self.steps.timeout:g} seconds, with {given}") from None
        except InvalidResult as exc:
            raise AssertionError(f"the result is invalid, with {given}: {exc}") from exc
        except TrimcpError as exc:
            _raise_failure(lines, given)
            if not (self.subject.may_refuse and isinstance(exc, RequestFailed)):
                raise AssertionError(f"valid arguments were refused, {given}: {told(exc, lines)}") from exc
            is_refused = True
        _raise_failure(lines, given)
        self.report.calls += 1
        self.report.refusals += is_refused


def _raise_failure(lines: Iterable[LogLine], given: str) -> None:
    """Raise what a handler did wrong and its client was not told."""
    for line in lines:
        failure = line.keys.get("exc_info")
        if line.event == events.HANDLER_FAILED and failure is not None:
            raise AssertionError(f"raised {type(failure).__name__}, with {given}: {failure}") from failure
        if line.event == events.PROGRESS_IGNORED:
            raise AssertionError(f"a report of progress was dropped, since it does not increase, with {given}")


def shown(arguments: Mapping[str, Any]) -> str:
    """Write arguments, or the beginning of them."""
    text = dumps(dict(arguments)).decode()
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
