"""A recording as a server: what `trimcp record` has written answers the clients of a test."""

from __future__ import annotations

import os
from typing import Literal

from trimcp.recording.format import read_recording
from trimcp.recording.server import RecordedServer


def replay(path: str | os.PathLike[str], *, timing: Literal["fast", "as-recorded"] = "fast") -> RecordedServer:
    """Return a server that answers each request as it was answered in a recording.

        async with trimcp.connect(replay("session.ndjson")) as client:
            assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3

    Requests are found by their method and params. Where the recording has several, they come in the recorded order,
    and the last one again and again. A request that was never recorded fails, and is in `unrecorded`.

    Args:
        path: of a file that `trimcp record`, or an option `--record`, has written.
        timing: `as-recorded` answers as slowly as the recorded server did.

    Raises:
        UsageError: the file cannot be read, or is no recording.
    """
    return RecordedServer(read_recording(path), timing=timing)
