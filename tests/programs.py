"""Running programs of the checkout in processes of their own, as a user would."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]

PATIENCE = 120.0
"""Seconds after which a program that should have ended has failed."""


def write_at_once(file: Path, text: str) -> None:
    """Change a file that is watched: a server that starts while it is written would find half of it."""
    written = file.with_suffix(".new")
    written.write_text(text)
    written.replace(file)


def run_python(
    *arguments: str | Path,
    stdin: str = "",
    cwd: Path = ROOT,
    expect: Sequence[int] = (0,),
) -> subprocess.CompletedProcess[str]:
    """Run Python with the checkout in its path, and warnings as errors; check the exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "COLUMNS": "100"}
    environment.pop("TRIMCP_LOG", None)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=stdin,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode in expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
