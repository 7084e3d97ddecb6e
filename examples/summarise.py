"""A summariser: the server reads, the client's model writes, and the person sees both before they are sent.

The model of this example is a function that takes the first sentence of each text. Put a real one in its place.
"""

import re
import tempfile

import trio

import trimcp
from trimcp.consent import Choice, Person, Policy, Question, Rule
from trimcp.types import CreateMessageRequestParams, TextContent

server = trimcp.Server("summariser")
PART = 200
"""Characters of a text that are summarised at once."""


@server.tool
async def summarise(text: str, ctx: trimcp.Context) -> str:
    """Summarise a text: each part by itself, then the summaries."""
    parts = [text[at : at + PART] for at in range(0, len(text), PART)]
    summaries = [await summary_of(part, ctx) for part in parts]
    return summaries[0] if len(summaries) == 1 else await summary_of(" ".join(summaries), ctx)


async def summary_of(text: str, ctx: trimcp.Context) -> str:
    """Have the model of the client summarise a text."""
    answer = await ctx.sample(text, system_prompt="Answer with one sentence.", max_tokens=100)
    return answer.text


async def model(params: CreateMessageRequestParams) -> str:
    """Answer as a model would."""
    content = params.messages[-1].content
    assert isinstance(content, TextContent)
    return re.split(r"(?<=[.!?])\s", content.text)[0]


class Reader(Person):
    """Agrees to all that does not speak of money."""

    async def decide(self, question: Question) -> Choice:
        """Print the question, and answer it."""
        title, _, *rest = question.text.splitlines()
        print(title, "|", rest[-2 if "At most" in rest[-1] else -1].strip()[:40])
        return Choice.NO if "money" in question.text else Choice.YES


async def main() -> None:
    """Summarise a text, and be refused for another one."""
    text = "Trio is a library for concurrency. It has nurseries. " * 5
    consent = Policy([Rule("allow", tool="summarise")], person=Reader(), directory=f"{tempfile.mkdtemp()}/consent")
    async with trimcp.connect(server, sampling=model, consent=consent) as client:
        print((await client.call_tool("summarise", {"text": text})).text)
        try:
            await client.call_tool("summarise", {"text": "My money is under the mattress."})
        except trimcp.RequestFailed as exc:
            print(exc.message)


if __name__ == "__main__":
    trio.run(main)
