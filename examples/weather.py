"""A server with a lifespan, a dependency, progress, and results that are objects.

    trimcp run examples/weather.py

`client.py` beside it calls it. The weather is made up, so that it needs no network.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import trio

import trimcp


@dataclass
class Day:
    """The weather of one day."""

    day: int
    sky: Literal["clear", "clouds", "rain"]
    high: Annotated[float, "Degrees Celsius"]


@dataclass
class Forecast:
    """The weather of a city for some days."""

    city: str
    days: list[Day]


class Almanac:
    """Knows the weather. It is opened once for all clients, like a pool of connections."""

    def __init__(self) -> None:
        self.questions = 0

    async def look_up(self, city: str, day: int) -> Day:
        """Look up a day, which takes a while."""
        self.questions += 1
        await trio.sleep(0.05)
        number = sum(city.encode()) + 7 * day
        return Day(day, ("clear", "clouds", "rain")[number % 3], 10.0 + number % 17)


@asynccontextmanager
async def lifespan(server: trimcp.Server) -> AsyncIterator[Almanac]:
    """Runs from before the first request until after the last."""
    almanac = Almanac()
    yield almanac
    print(f"the almanac was asked {almanac.questions} times")  # goes to stderr: stdout belongs to the protocol


server = trimcp.Server("weather", lifespan=lifespan, instructions="Ask for a forecast by the name of a city.")


@server.dependency
def almanac(ctx: trimcp.Context) -> Almanac:
    """Gives a tool that needs an `Almanac` the one of the lifespan."""
    assert isinstance(ctx.state, Almanac)
    return ctx.state


@server.tool
async def forecast(
    city: str,
    days: Annotated[int, "How far to look ahead, 1 to 14"] = 3,
    *,
    almanac: Almanac,
    ctx: trimcp.Context,
) -> Forecast:
    """The forecast for a city."""
    if not 1 <= days <= 14:
        raise trimcp.ToolError("a forecast has 1 to 14 days")
    found = [await almanac.look_up(city, day) async for day in ctx.track(range(days), message="day {}")]
    return Forecast(city, found)


if __name__ == "__main__":
    server.run()
