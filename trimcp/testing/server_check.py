"""`check_server`: uses all that a server offers as clients do, with generated arguments, and finds faults.

Needs `trimcp[testing]`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from trimcp.server.app import Server
from trimcp.testing.server_checks.calls import Calls
from trimcp.testing.server_checks.faults import CheckReport, FaultsFound
from trimcp.testing.server_checks.interruptions import Interruption
from trimcp.testing.server_checks.lists import read_lists
from trimcp.testing.server_checks.steps import Steps
from trimcp.testing.server_checks.subjects import Arguments, Strategies, Subject, subjects_of
from trimcp.testing.server_checks.subscriptions import check_subscriptions
from trimcp.types.revisions import LATEST

INTERRUPTIONS: Final = 5
"""How many calls of a subject are cancelled, and how many are drained."""


def check_server(
    server: Server,
    *,
    tools: Collection[str] = (),
    skip: Collection[str] = (),
    arguments: Strategies | None = None,
    examples: int = 25,
    timeout: float = 5.0,
    revision: str = LATEST.version,
    **options: Any,
) -> list[CheckReport]:
    """Check the lists, tools, resources and prompts of a server, and raise the faults that were found.

        def test_my_server() -> None:
            check_server(my_server, tools=["reindex"])

    Tools are called if they say `readOnlyHint` or are named, with arguments that Hypothesis makes from their schemas.
    Each must return a result that fits its output schema, or raise `ToolError`. Every resource is read, every template
    and prompt is used with values of its completion, or with strings. Calls are then cancelled while they wait, and the
    server is drained under them: the handler must end, by `trio.Cancelled`, within `Limits.cleanup`. Lists are read
    page by page, and changes of resources must arrive where clients can subscribe to them. Call it from a plain
    function: it starts Trio itself.

    Args:
        server: the server. Its lifespan runs once for each step.
        tools: names of tools to check beside those that only read.
        skip: names of tools and prompts, URIs and templates that are left out.
        arguments: by the name of a tool or a prompt, or the text of a template, a strategy of its arguments, in the
            place of the one that would be made. The tools are checked as well.
        examples: how many calls are made of each, before a failing one is made smaller.
        timeout: seconds that a request may take.
        revision: the revision to speak.
        options: as of `trimcp.connect`, such as `sampling`, for tools that ask the client.

    Returns:
        What was done with each tool, resource, template and prompt.

    Raises:
        AssertionError: faults were found; the text has each of them, and `faults` is the list.
        UsageError: the server has nothing of a name.
    """
    steps = Steps(server, timeout, revision, options)
    lists = read_lists(steps)
    subjects = subjects_of(steps, lists, arguments or {}, tools, skip)
    reports = [_check(steps, subject, examples) for subject in subjects]
    if lists.can_subscribe:
        check_subscriptions(steps, [each.uri for each in lists.resources if each.uri not in skip])
    if steps.faults:
        raise FaultsFound(steps.faults)
    return reports


def _check(steps: Steps, subject: Subject, examples: int) -> CheckReport:
    """Check one subject, step by step."""
    report = CheckReport(subject.kind, subject.name)
    steps.run(subject.kind, subject.name, "call", Calls(steps, subject, report, examples).make)
    chosen = [Interruption(steps, subject, report, each) for each in _spread(report.examples, INTERRUPTIONS)]
    for each in chosen:
        if not steps.run(subject.kind, subject.name, "cancel", each.cancel):
            break
    for each in chosen:
        if not steps.run(subject.kind, subject.name, "drain", each.drain):
            break
    return report


def _spread(examples: Sequence[Arguments], most: int) -> Sequence[Arguments]:
    """Return some of the examples, from all parts of the list."""
    return examples[:: max(len(examples) // most, 1)][:most]
