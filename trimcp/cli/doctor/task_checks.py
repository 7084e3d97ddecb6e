"""Checks of tasks: a utility of 2025-11-25, and an extension in 2026-07-28. No task is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trimcp.cli.doctor.examination import CAPABILITIES_KEY, Examination, Failed, NotApplicable, Rules
from trimcp.cli.doctor.lifecycle_checks import well_formed
from trimcp.cli.doctor.wire import Answer
from trimcp.types.revisions import Era

CHECKS: Final = Rules()
UTILITY: Final = "basic/utilities/tasks"
EXTENSION: Final = "extensions/tasks/overview"
TASKS: Final = "io.modelcontextprotocol/tasks"
NO_TASK: Final = "doctor-no-such-task"
REVISION: Final = "2025-11-25"


# --- 2025-11-25 -----------------------------------------------------------------------


def _declared(examination: Examination, member: str = "") -> bool:
    """Return whether the server has declared tasks, and this member of them."""
    if examination.revision.version != REVISION:
        raise NotApplicable(f"only {REVISION} has this utility")
    tasks = examination.capabilities.get("tasks")
    return isinstance(tasks, dict) and (not member or member in tasks)


@CHECKS.rule(UTILITY, "tasks/list works exactly if tasks.list is declared", era=Era.LEGACY)
async def lists_as_declared(examination: Examination) -> None:
    if _declared(examination, "list"):
        well_formed(examination, "tasks/list", await examination.result("tasks/list", {}))
    else:
        await examination.refused("tasks/list", {}, [-32601])


@CHECKS.rule(UTILITY, "an invalid cursor of tasks/list is refused with -32602", era=Era.LEGACY)
async def cursors_of_tasks_are_checked(examination: Examination) -> None:
    if not _declared(examination, "list"):
        raise NotApplicable("the server has not declared tasks.list")
    await examination.refused("tasks/list", {"cursor": "no cursor of yours"}, [-32602])


@CHECKS.rule(UTILITY, "tasks/get and tasks/result of an unknown task are refused with -32602", era=Era.LEGACY)
async def unknown_tasks_are_refused(examination: Examination) -> None:
    if not _declared(examination):
        raise NotApplicable("the server has not declared tasks")
    for method in ("tasks/get", "tasks/result"):
        await examination.refused(method, {"taskId": NO_TASK}, [-32602])


@CHECKS.rule(UTILITY, "tasks/cancel of an unknown task is refused with -32602", era=Era.LEGACY)
async def cancels_of_unknown_tasks_are_refused(examination: Examination) -> None:
    if not _declared(examination, "cancel"):
        raise NotApplicable("the server has not declared tasks.cancel")
    await examination.refused("tasks/cancel", {"taskId": NO_TASK}, [-32602])


# --- the extension in 2026-07-28 --------------------------------------------------------


async def _ask(examination: Examination, method: str, params: Mapping[str, Any], *, declares: bool = True) -> Answer:
    """Send a request about tasks, if the server has the extension."""
    extensions = examination.capabilities.get("extensions")
    if not isinstance(extensions, dict) or TASKS not in extensions:
        raise NotApplicable(f"the server has not declared the extension {TASKS}")
    capabilities: dict[str, Any] = {"extensions": {TASKS: {}}} if declares else {}
    message = examination.message(method, {**params, "_meta": {CAPABILITIES_KEY: capabilities}})
    named = {"mcp-name": params["taskId"]} if "taskId" in params else None
    return await examination.wire.ask(message, headers=named)


def _expect(answer: Answer, code: int, method: str) -> None:
    if answer.code != code:
        raise Failed(f"{method} must fail with {code}, and was answered by {answer}")


@CHECKS.rule(EXTENSION, "tasks/get of an unknown task is refused with -32602", era=Era.MODERN)
async def unknown_tasks_of_the_extension_are_refused(examination: Examination) -> None:
    _expect(await _ask(examination, "tasks/get", {"taskId": NO_TASK}), -32602, "tasks/get")


@CHECKS.rule(EXTENSION, "tasks/update of an unknown task is refused with -32602", must=False, era=Era.MODERN)
async def updates_of_unknown_tasks_are_refused(examination: Examination) -> None:
    params = {"taskId": NO_TASK, "inputResponses": {}}
    _expect(await _ask(examination, "tasks/update", params), -32602, "tasks/update")


@CHECKS.rule(EXTENSION, "tasks/cancel of an unknown task is refused with -32602", must=False, era=Era.MODERN)
async def cancels_of_unknown_tasks_of_the_extension_are_refused(examination: Examination) -> None:
    _expect(await _ask(examination, "tasks/cancel", {"taskId": NO_TASK}), -32602, "tasks/cancel")


@CHECKS.rule(EXTENSION, "a client that does not declare the extension is refused with -32021", era=Era.MODERN)
async def the_extension_must_be_declared(examination: Examination) -> None:
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        params: dict[str, Any] = {"taskId": NO_TASK}
        if method == "tasks/update":
            params["inputResponses"] = {}
        _expect(await _ask(examination, method, params, declares=False), -32021, method)
    listen = {"notifications": {"taskIds": [NO_TASK]}}
    answer = await _ask(examination, "subscriptions/listen", listen, declares=False)
    _expect(answer, -32021, "subscriptions/listen with taskIds")
