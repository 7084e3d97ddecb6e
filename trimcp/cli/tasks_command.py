"""The command `tasks`: the tasks that a server keeps: their list, the state, the result and the end of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import CommandRun, client_command
from trimcp.cli.requests import show_result
from trimcp.cli.terminal import DIM, print_json, show
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.session.tasks.state import TaskState

ACTIONS: Final = ("list", "get", "result", "cancel")

_TASKS: Final = """\
Show, await and cancel tasks: calls of tools that go on after the call (trimcp call --task prints the id).

  list           the tasks that the server keeps for this client (2025-11-25)
  get            the state of a task
  result         wait for the end of a task, answer its questions, and print its result
  cancel         ask the server to cancel a task"""


async def _tasks(run: CommandRun) -> int:
    action = run.options.action
    if len(run.words) != (action != "list"):
        raise UsageError("list takes only a TARGET" if action == "list" else f"{action} takes the ID of one task")
    if action == "list":
        states = await run.client.list_tasks()
        if run.options.json:
            print_json([run.wire(state.raw) for state in states])
        for state in () if run.options.json else states:
            _show(state)
        return exits.OK
    task = run.client.task(run.words[0])
    if action == "result":
        if run.options.verbose:
            async for state in task:
                run.terminal.say(_described(state))
        return show_result(run, "of the task", await task.result())
    if action == "cancel":
        await task.cancel()
    found = await task.refresh()
    if found is not None and run.options.json:
        print_json(run.wire(found.raw))
    elif found is not None:
        _show(found)
    return exits.OK


def _show(state: TaskState) -> None:
    show(state.id)
    show(f"  {_described(state)}; created {state.created_at}", DIM)


def _described(state: TaskState) -> str:
    return state.status + (f": {state.message}" if state.message else "")


COMMANDS: Final = {
    "tasks": client_command(
        _TASKS,
        "[ID] ",
        _tasks,
        json="print the state, or the result, as JSON",
        actions=ACTIONS,
        shows_logs=False,
        examples="  trimcp tasks list http://127.0.0.1:8000/mcp\n  trimcp tasks result http://127.0.0.1:8000/mcp ID",
    )
}
