"""`Policy`: decides by rules, by what is remembered, and else by a person. Without a person it is no."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, cast

import attrs
import trio

from trimcp.client.features.consent import Ask, Consent, M, Matter, ModelAnswer, ModelPrompt, Page, ToolCall
from trimcp.consent.audit_log import AuditLog
from trimcp.consent.decisions import Decision, DecisionFile, Subject, decision_now, subject_of
from trimcp.consent.person import Choice, Person
from trimcp.consent.question import Question
from trimcp.consent.rules import Action, Rule, kind_of
from trimcp.consent.web_address import host_of, is_web_page
from trimcp.errors import UsageError
from trimcp.observability import events, log

TIMEOUT: Final = 120.0
"""Seconds that a person has for an answer."""
FLOOD: Final = 20
"""The most questions that one server causes by its own requests in a minute; further ones are refused unasked."""
SERVERS: Final = 256
"""The servers whose questions are counted; the first one is forgotten for a further one."""
_MINUTE: Final = 60.0


@attrs.frozen
class _Outcome:
    """A decision on one matter, and why it was made."""

    matter: Matter | None
    by: str
    changes: Sequence[str] = ()


class Policy(Consent):
    """Decides which tools are called, and what servers get. Rules come first, then remembered decisions, then a person.

        policy = Policy(
            [
                Rule("deny", tool="delete_*"),
                Rule("allow", server="notes", annotations={"readOnlyHint": True}),
            ],
            person=Dialog(),
        )

    The first rule that matches decides. Where none does, or one says `ask`, a remembered decision counts if nothing
    has changed since. Otherwise the person is asked. It is no without a person, when there is no answer in time, and
    when one server asks too often. Each decision is an event and a line of the audit log.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        person: Person | None = None,
        default: Action = "ask",
        timeout: float = TIMEOUT,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        """Decides by rules, and asks a person.

        Args:
            rules: the first one that matches decides.
            person: answers questions; without one the answer is no.
            default: for matters that no rule matches.
            timeout: seconds for an answer, from the opening of the dialog; then it is no.
            directory: of the remembered decisions and the audit log; the default is `consent` in the user's directory
                for data of trimcp. It has mode 0700.
        """
        self._rules = [*rules, *(Rule(default, kind=kind) for kind in ("tool", "sampling", "form", "roots"))]
        self._rules.append(Rule("deny" if default == "deny" else "ask", kind="page"))
        self._person = person
        self._timeout = timeout
        self._decisions = DecisionFile(directory)
        self._audit = AuditLog(directory)
        self._asked: dict[str, deque[float]] = {}

    @property
    def decisions(self) -> DecisionFile:
        """The remembered decisions: they can be listed and revoked."""
        return self._decisions

    def named(self, name: str) -> Consent:
        """See `Consent`."""
        return _NamedPolicy(self, name)

    async def agree(self, matter: M, ask: Ask) -> M | None:
        """See `Consent`."""
        outcome = await self._decide(matter, ask)
        await self._record(matter, outcome)
        return cast("M | None", outcome.matter)

    async def _decide(self, matter: Matter, ask: Ask) -> _Outcome:
        if isinstance(matter, Page) and not is_web_page(matter.params.url):
            return _Outcome(None, "not a web page")
        rule = next(rule for rule in self._rules if rule.matches(matter))
        if rule.action == "ask":
            return await self._asked_for(matter, ask)
        return _Outcome(matter if rule.action == "allow" else None, f"rule: {rule}")

    async def _asked_for(self, matter: Matter, ask: Ask) -> _Outcome:
        subject = subject_of(matter)
        known = await self._remembered(matter, subject)
        if known is not None:
            return known
        person = self._person
        if person is None:
            return _Outcome(None, "no person to ask")
        if not isinstance(matter, ToolCall | ModelAnswer) and self._is_flood(matter):
            return _Outcome(None, f"more than {FLOOD} questions in a minute")

        async def dialog() -> _Outcome:
            # The person may have answered the same question in an earlier dialog.
            known = await self._remembered(matter, subject)
            return await self._answered(matter, subject, person) if known is None else known

        return await ask(dialog)

    async def _remembered(self, matter: Matter, subject: Subject | None) -> _Outcome | None:
        decision = None if subject is None else await self._decisions.find(subject)
        if subject is None or decision is None:
            return None
        if not decision.is_allowed:  # a change is no way to be asked about again
            return _Outcome(None, "remembered")
        return None if decision.changes(subject) else _Outcome(matter, "remembered")

    async def _answered(self, matter: Matter, subject: Subject | None, person: Person) -> _Outcome:
        former = None if subject is None else await self._decisions.find(subject)
        question = _question(matter, subject, former)
        choice: Choice | None = None
        answer: Matter | None = None
        with trio.move_on_after(self._timeout) as waiting:
            if isinstance(matter, ModelPrompt | ModelAnswer):
                answer = await person.review(question, matter)
                if answer is not None and type(answer) is not type(matter):
                    raise UsageError(f"review returned a {type(answer).__name__}: return the draft, changed or not")
            else:
                choice = await person.decide(question)
                if not isinstance(choice, Choice):
                    raise UsageError(f"decide returned a {type(choice).__name__}: return a Choice")
                answer = matter if choice in (Choice.YES, Choice.ALWAYS) else None
        if waiting.cancelled_caught:
            return _Outcome(None, f"no answer in {self._timeout:g} s", question.changes)
        if subject is not None and choice in (Choice.ALWAYS, Choice.NEVER):
            server = matter.server
            is_allowed = choice is Choice.ALWAYS
            await self._decisions.remember(decision_now(server.name, server.address, subject, is_allowed=is_allowed))
        by = "person" if choice is None else f"person: {choice.value}"
        return _Outcome(answer, by if answer is matter or answer is None else f"{by}: changed", question.changes)

    def _is_flood(self, matter: Matter) -> bool:
        server, now = matter.server.identity or matter.server.name, trio.current_time()
        times = self._asked.setdefault(server, deque(maxlen=FLOOD))
        if len(self._asked) > SERVERS:
            del self._asked[next(iter(self._asked))]
        if len(times) == FLOOD and now - times[0] < _MINUTE:
            return True
        times.append(now)
        return False

    async def _record(self, matter: Matter, outcome: _Outcome) -> None:
        """Log a decision as an event and as a line of the audit log: no arguments, and no contents."""
        subject = subject_of(matter)
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "server": matter.server.name,
            "address": matter.server.address,
            "claimed": None if matter.server.claimed is None else matter.server.claimed.name,
            "kind": kind_of(matter),
            "about": _about(matter),
            "allowed": outcome.matter is not None,
            "by": outcome.by,
            "changes": ", ".join(outcome.changes) or None,
            "digest": None if subject is None else subject.digest,
        }
        log.info(events.CONSENT_DECIDED, **{name: value for name, value in entry.items() if name != "time"})
        await self._audit.write(entry)


class _NamedPolicy(Consent):
    """A policy for the server that the program calls by a name of its own."""

    def __init__(self, policy: Policy, name: str) -> None:
        self._policy = policy
        self._name = name

    async def agree(self, matter: M, ask: Ask) -> M | None:
        """See `Consent`."""
        return await self._policy.agree(attrs.evolve(matter, server=attrs.evolve(matter.server, name=self._name)), ask)

    def named(self, name: str) -> Consent:
        """See `Consent`."""
        return _NamedPolicy(self._policy, name)


def _question(matter: Matter, subject: Subject | None, former: Decision | None) -> Question:
    if subject is None or former is None:
        return Question(matter, can_remember=subject is not None)
    changes = former.changes(subject)
    is_told_otherwise = "the description" in changes
    return Question(matter, changes, True, former.subject.description if is_told_otherwise else None)


def _about(matter: Matter) -> str | None:
    if isinstance(matter, ToolCall):
        return matter.name
    if isinstance(matter, Page):
        return host_of(matter.params.url)
    return "the answer of the model" if isinstance(matter, ModelAnswer) else None
