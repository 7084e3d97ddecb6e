"""Reads and writes the configuration file of a host.

There is a backup, the new text takes its place by a rename, and mode and links stay as they are.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import tempfile
import time
from codecs import BOM_UTF8
from pathlib import Path
from typing import Final

from trimcp.cli.install.edit import Edit
from trimcp.errors import UsageError

MOST_BYTES: Final = 8 * 2**20
"""The longest file that is edited. The file of Claude Code has the history of projects in it."""
BACKUPS: Final = 5
"""Backups that are kept; older ones are removed."""


def read(path: Path) -> str:
    """Return the text of a file, without a byte order mark; an empty one if the file is not there.

    Raises:
        UsageError: it cannot be read, is too long, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise UsageError(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} is longer than {MOST_BYTES} bytes: add the entry by hand (--print shows it)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text: add the entry by hand (--print shows it)") from None


def difference(path: Path, edit: Edit) -> str:
    """Return a change as a unified diff."""
    lines = difflib.unified_diff(
        edit.before.splitlines(keepends=True), edit.after.splitlines(keepends=True), str(path), str(path)
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def write(path: Path, edit: Edit) -> Path | None:
    """Write a change; return the backup of the file, None if the file is new.

    Raises:
        UsageError: the file is read-only, has changed in between, or cannot be written.
    """
    real = Path(os.path.realpath(path))  # a link stays a link
    try:
        if real.exists() and not real.stat().st_mode & 0o222:
            raise UsageError(f"{path} is read-only: make it writable, or add the entry where the file is made")
        if read(real) != edit.before:
            raise UsageError(f"{path} was changed by another program in the meantime: run this again")
        before = real.read_bytes() if real.exists() else None
        backup = None if before is None else _back_up(real, before)
        real.parent.mkdir(parents=True, exist_ok=True)
        mark = BOM_UTF8 if before is not None and before.startswith(BOM_UTF8) else b""
        _replace(real, mark + edit.after.encode())
    except OSError as exc:
        raise UsageError(f"cannot write {path}: {exc.strerror}") from exc
    return backup


def _back_up(real: Path, data: bytes) -> Path:
    backup = real.with_name(f"{real.name}.{time.strftime('%Y%m%dT%H%M%S')}.bak")
    _create(backup, data, real.stat().st_mode & 0o777)
    ours = re.compile(re.escape(real.name) + r"\.\d{8}T\d{6}\.bak")
    for old in sorted(each for each in real.parent.iterdir() if ours.fullmatch(each.name))[:-BACKUPS]:
        old.unlink()
    return backup


def _create(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _replace(real: Path, data: bytes) -> None:
    """Write a new file beside the old one, and give it the old one's name."""
    # Entries may have secrets: a file of ours is for its owner alone.
    mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
    descriptor, temporary = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        if real.exists() and hasattr(os, "chown"):
            owner = real.stat()
            with contextlib.suppress(PermissionError):
                os.chown(temporary, owner.st_uid, owner.st_gid)
        os.replace(temporary, real)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
