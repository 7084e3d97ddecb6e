"""A server of books: resources, a template, prompts, and completion.

    trimcp run examples/library.py

Run by itself, as `python examples/library.py`, it is its own client and shows what there is.
"""

from typing import Annotated, Literal

import trio

import trimcp
from trimcp.types import EmbeddedResource, PromptMessage, TextContent, TextResourceContents

BOOKS = {
    "emma": "Emma Woodhouse, handsome, clever, and rich, had lived nearly twenty-one years in the world.",
    "persuasion": "Sir Walter Elliot took up no book but the Baronetage.",
    "moby-dick": "Call me Ishmael. Some years ago I thought I would sail about a little.",
}

server = trimcp.Server(
    "library",
    # The shelves change once a day, and are the same for every user (2026-07-28).
    caching=trimcp.Caching(templates=trimcp.CacheHint(86_400_000, "public")),
)
server.add_resource("library://rules", "Be quiet.\n", title="House rules", mime_type="text/plain")


@server.resource("library://shelf")
async def shelf() -> list[str]:
    """The titles of all books."""
    return sorted(BOOKS)


@server.resource("book://{title}{?words}", mime_type="text/plain", ttl_ms=60_000, cache_scope="public")
async def book(title: str, words: int = 5) -> str | None:
    """How a book begins; None says that there is no such book."""
    text = BOOKS.get(title)
    return None if text is None else " ".join(text.split()[:words])


@server.prompt(title="Review a book")
async def review(
    title: Annotated[str, "One from library://shelf"],
    tone: Literal["kind", "harsh"] = "kind",
    paragraphs: int = 1,
) -> list[PromptMessage | str]:
    """Ask for a review of a book."""
    if title not in BOOKS:
        raise trimcp.InvalidParams(f"there is no {title}")
    text = EmbeddedResource(TextResourceContents(f"book://{title}", BOOKS[title], "text/plain"))
    return [
        PromptMessage("user", text),
        f"Write a {tone} review of {paragraphs} paragraph(s).",
        PromptMessage("assistant", TextContent("With pleasure:")),
    ]


@server.completion("review", "title")
@server.completion("book://{title}{?words}", "title")
async def titles(begun: str) -> list[str]:
    """Complete the title of a prompt and of a template."""
    return [title for title in sorted(BOOKS) if title.startswith(begun.lower())]


async def visit() -> None:
    """Use the server as a client."""
    async with trimcp.connect(server) as client:
        async for resource in client.iter_resources():
            print("resource", resource.uri, "-", resource.title or resource.description)
        for template in await client.list_resource_templates():
            print("template", template.uri_template, "-", template.description)
        print((await client.read_resource("book://emma")).text)
        print((await client.read_resource("book://moby-dick?words=3")).text)
        try:
            await client.read_resource("book://ulysses")
        except trimcp.ResourceNotFound as exc:
            print("not found:", exc.uri)

        (prompt,) = await client.list_prompts()
        print("prompt", prompt.name, [(a.name, a.required) for a in prompt.arguments or ()])
        print((await client.complete("title", "P", prompt="review")).values)
        print((await client.complete("tone", "h", prompt="review")).values)
        for message in (await client.get_prompt("review", {"title": "emma", "paragraphs": 2})).messages:
            print(f"{message.role}:", getattr(message.content, "text", message.content.type))


if __name__ == "__main__":
    trio.run(visit)
