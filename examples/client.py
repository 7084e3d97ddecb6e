"""A client: it starts the weather server in a process of its own, and calls it in several ways."""

import sys
from dataclasses import dataclass
from pathlib import Path

import trio

import trimcp

WEATHER = str(Path(__file__).with_name("weather.py"))


@dataclass
class Day:
    """As much of a day as this client cares for; what else the server says is passed over."""

    sky: str
    high: float


@dataclass
class Forecast:
    """What `forecast` returns."""

    city: str
    days: list[Day]


def show(progress: float, total: float | None, message: str | None) -> None:
    """Called for each report of progress."""
    print(f"  {progress:g} of {total or 0:g}: {message}")


async def main() -> None:
    """Call the server."""
    async with trimcp.connect([sys.executable, "-m", "trimcp", "run", WEATHER]) as client:
        print(f"{client.server_info.name if client.server_info else '?'} speaks {client.protocol_version}")
        for tool in await client.list_tools():
            print(f"tool {tool.name}: {tool.description}")

        # As an object, with progress on the way.
        forecast = await client.call_tool("forecast", {"city": "Turin", "days": 3}, returns=Forecast, on_progress=show)
        print(f"{forecast.city}: {', '.join(f'{day.sky} {day.high:g}' for day in forecast.days)}")

        # A call that fails: the text is for a model to read, and to mend its call by.
        result = await client.call_tool("forecast", {"city": "Turin", "days": 99})
        print(f"is_error={result.is_error}: {result.text}")

        # A call that takes too long: any of Trio's scopes ends it, and the server is told.
        with trio.move_on_after(0.2) as scope:
            await client.call_tool("forecast", {"city": "Oslo", "days": 14})
        print(f"left early: {scope.cancelled_caught}")

        # Several at once, on the one connection.
        async with trio.open_nursery() as nursery:
            for city in ("Oslo", "Porto", "Riga"):
                nursery.start_soon(print_tomorrow, client, city)


async def print_tomorrow(client: trimcp.Client, city: str) -> None:
    """Say what tomorrow is like."""
    forecast = await client.call_tool("forecast", {"city": city, "days": 2}, returns=Forecast)
    print(f"{city} tomorrow: {forecast.days[1].sky}")


if __name__ == "__main__":
    trio.run(main)
