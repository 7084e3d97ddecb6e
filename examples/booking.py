"""A booking by forms: the server asks for what is missing, offers what is free, and asks before it books."""

from dataclasses import dataclass
from typing import Any, Literal

import trio

import trimcp
from trimcp.types import ElicitRequestFormParams

server = trimcp.Server("restaurant")
free = {"18:00": 4, "20:00": 2}
booked: list[str] = []


@dataclass
class Wish:
    """The first form."""

    persons: int
    smoking: bool = False


@dataclass
class Confirmation:
    """The last form."""

    answer: Literal["book", "do not book"]
    name: str


@server.tool
async def book(ctx: trimcp.Context) -> str:
    """Book a table."""
    wish = await ctx.elicit("How many of you come?", Wish)
    if wish.data is None:
        return "Another time, then."
    times = [time for time, seats in free.items() if seats >= wish.data.persons]
    if not times:
        return f"There is no table for {wish.data.persons}."
    # The choices are known only now, so the form is a JSON Schema.
    choice = {"type": "object", "properties": {"time": {"type": "string", "enum": times}}, "required": ["time"]}
    time = (await ctx.elicit("When?", choice)).data
    if time is None:
        return "Nothing is booked."
    last = await ctx.elicit(f"A table for {wish.data.persons} at {time['time']}. Book it?", Confirmation)
    if last.data is None or last.data.answer != "book":
        return "Nothing is booked."
    # In 2026-07-28 this function runs again for each answer. What follows the last question runs once.
    booked.append(last.data.name)
    free[time["time"]] -= wish.data.persons
    return f"{last.data.name}, {wish.data.persons} persons, {time['time']}"


def guest(*answers: dict[str, Any] | None) -> Any:
    """Return a person who fills in forms with these answers, and declines at None."""
    remaining = list(answers)

    async def fill_in(form: ElicitRequestFormParams) -> dict[str, Any] | None:
        answer = remaining.pop(0)
        print(form.message, "|", ", ".join(form.requested_schema["properties"]), "|", answer)
        return answer

    return fill_in


async def main() -> None:
    """Book in both eras, be turned away, and change one's mind."""
    ada = {"answer": "book", "name": "Ada"}
    guests = {
        "2026-07-28": guest({"persons": 2}, {"time": "20:00"}, ada),
        "2025-11-25": guest({"persons": 4}, {"time": "18:00"}, {"answer": "do not book", "name": "Bob"}),
    }
    for revision, fill_in in guests.items():
        async with trimcp.connect(server, revision=revision, elicitation=fill_in) as client:
            print((await client.call_tool("book")).text)
    async with trimcp.connect(server, elicitation=guest({"persons": 9})) as client:
        print((await client.call_tool("book")).text)
    async with trimcp.connect(server, elicitation=guest(None)) as client:
        print((await client.call_tool("book")).text)
    print("booked:", booked)


if __name__ == "__main__":
    trio.run(main)
