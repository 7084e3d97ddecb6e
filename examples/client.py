"""A client that starts the weather server in its own process, and calls it in several ways."""

import sys
from dataclasses import dataclass
from pathlib import Path

import trio

import trimcp

WEATHER = str(Path(__file__).with_name("weather.py"))


@dataclass
class Day:
    """The part of a day that this client uses; other properties are ignored."""

    sky: str
    high: float


@dataclass
class Forecast:
    """The result of `forecast`."""

    city: str
    days: list[Day]


def show(progress: float, total: float | None, message: str | None) -> None:
    """Print a report of progress."""
    print(f"  {progress:g} of {total or 0:g}: {message}")


async def main() -> None:
    """Call the server."""
    async with trimcp.connect([sys.executable, "-m", "trimcp", "run", WEATHER]) as client:
        print(f"{client.server_info.name if client.server_info else '?'} speaks {client.protocol_version}")
        for tool in await client.list_tools():
            print(f"tool {tool.name}: {tool.description}")

        # The result as an object, with progress.
        forecast = await client.call_tool("forecast", {"city": "Turin", "days": 3}, returns=Forecast, on_progress=show)
        print(f"{forecast.city}: {', '.join(f'{day.sky} {day.high:g}' for day in forecast.days)}")

        # A call that fails: the text helps a model to correct its call.
        result = await client.call_tool("forecast", {"city": "Turin", "days": 99})
        print(f"is_error={result.is_error}: {result.text}")

        # A call that takes too long: a Trio scope cancels it, and the server is told.
        with trio.move_on_after(0.2) as scope:
            await client.call_tool("forecast", {"city": "Oslo", "days": 14})
        print(f"left early: {scope.cancelled_caught}")

        # Several calls at once, on one connection.
        async with trio.open_nursery() as nursery:
            for city in ("Oslo", "Porto", "Riga"):
                nursery.start_soon(print_tomorrow, client, city)


async def print_tomorrow(client: trimcp.Client, city: str) -> None:
    """Print the weather of tomorrow."""
    forecast = await client.call_tool("forecast", {"city": city, "days": 2}, returns=Forecast)
    print(f"{city} tomorrow: {forecast.days[1].sky}")


if __name__ == "__main__":
    trio.run(main)
