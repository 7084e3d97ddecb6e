"""A notes server on SQLite: tools that write and search, and a resource for each note. Notes outlive the process.

    trimcp run examples/notes.py

`NOTES` names the file; as a program of its own, this is also a client, and uses a file that it throws away.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

import trimcp

server = trimcp.Server("notes", instructions="Search before you add a note: there may be one.")


@dataclass
class Note:
    """A note, and where it can be read."""

    id: int
    title: str
    uri: str


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """Open the file for one transaction: it is written as a whole, or not at all."""
    with closing(sqlite3.connect(os.environ.get("NOTES", "notes.db"))) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, title TEXT, text TEXT)")
        yield connection


# Plain functions run in threads, so SQLite holds up no other request.
@server.tool
def add(title: str, text: str) -> Note:
    """Keep a note."""
    with database() as notes:
        id = notes.execute("INSERT INTO notes (title, text) VALUES (?, ?)", (title, text)).lastrowid or 0
    return Note(id, title, f"note://{id}")


@server.tool
def search(words: str) -> list[Note]:
    """Find the notes with these words in the title or in the text."""
    pattern = f"%{words}%"
    with database() as notes:
        rows = notes.execute("SELECT id, title FROM notes WHERE title LIKE ? OR text LIKE ?", (pattern, pattern))
        return [Note(id, title, f"note://{id}") for id, title in rows]


@server.tool
def change(id: int, text: str) -> str:
    """Change the text of a note."""
    with database() as notes:
        if not notes.execute("UPDATE notes SET text = ? WHERE id = ?", (text, id)).rowcount:
            raise trimcp.ToolError(f"there is no note {id}: search for it")
    server.notify_resource_updated(f"note://{id}")
    return f"note {id} is changed"


@server.resource("note://{id}")
def note(id: int) -> str | None:
    """The text of a note."""
    with database() as notes:
        row = notes.execute("SELECT text FROM notes WHERE id = ?", (id,)).fetchone()
    return None if row is None else str(row[0])


async def main() -> None:
    """Keep a note, and find it again after the server has been started anew."""
    os.environ["NOTES"] = str(Path(tempfile.mkdtemp()) / "notes.db")
    async with trimcp.connect(server) as client:
        added = await client.call_tool("add", {"title": "Shopping", "text": "bread, milk"}, returns=Note)
        print("added", added.uri)
    async with trimcp.connect(server) as client:
        (found,) = await client.call_tool("search", {"words": "milk"}, returns=list[Note])
        print("found", found.title, "-", (await client.read_resource(found.uri)).text)
        await client.call_tool("change", {"id": found.id, "text": "bread"})
        print("now", (await client.read_resource(found.uri)).text)
        print((await client.call_tool("change", {"id": 7, "text": "?"})).text)


if __name__ == "__main__":
    trio.run(main)
