"""A group of two servers in processes; one is killed, and starts again."""

import os
import signal
import sys
from pathlib import Path

import trio

import trimcp

SERVERS = Path(__file__).parent

CONFIGURATION = {
    "mcpServers": {
        "adder": {"command": sys.executable, "args": ["-m", "trimcp", "run", str(SERVERS / "add.py")]},
        "weather": {"command": sys.executable, "args": ["-m", "trimcp", "run", str(SERVERS / "weather.py")]},
        "broken": {"command": sys.executable, "args": ["-c", "raise SystemExit('I never work')"]},
    }
}


async def main() -> None:
    """Call both servers, and kill one."""
    policy = trimcp.Restarts(most=2, first=0.1)
    configuration = trimcp.load_configuration(CONFIGURATION)
    async with trimcp.open_group(configuration, restarts=policy, on_stderr=print) as group, group.events() as events:
        await group.wait_attempted()
        for tool in await group.list_tools():
            print(f"{tool.name}: {tool.description}")
        print("1 + 2 =", await group.call_tool("adder__add", {"a": 1, "b": 2}, returns=int))

        os.kill(pid_of(group.client("adder")), signal.SIGKILL)
        waiting = {"adder is back", "broken has failed"}
        async for event in events:
            match event:
                case trimcp.MemberLost("adder", error):
                    print("adder is lost:", error)
                case trimcp.MemberReady("adder") if group.members["adder"].connections == 2:
                    waiting.discard("adder is back")
                case trimcp.MemberFailed("broken", failure):
                    waiting.discard("broken has failed")
                    print("broken has failed:", failure.reason.value)
            if not waiting:
                break
        print("3 + 4 =", await group.call_tool("adder__add", {"a": 3, "b": 4}, returns=int))


def pid_of(client: trimcp.Client) -> int:
    """Find the process of a member, from the description of its session."""
    return int(client.session.description.rpartition("pid ")[2].rstrip(")"))


if __name__ == "__main__":
    trio.run(main)
