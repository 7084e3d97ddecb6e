"""npm packages that tests run are installed once, also if two test runs ask for one at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from tests import node


def test_one_test_run_installs_a_package_and_keeps_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed: list[str] = []

    def npm(*command: str, node: str) -> bytes:
        with pytest.raises(Timeout):  # as another run would have to
            FileLock(tmp_path / "one-1.0" / "lock").acquire(timeout=0)
        installed.append(command[-1])
        return b""

    monkeypatch.setattr(node, "CACHE", tmp_path)
    monkeypatch.setattr(node, "node_and_npm", lambda: ("node", ["npm"]))
    monkeypatch.setattr(node, "run", npm)
    for _ in range(2):
        assert node._install("one", "1.0") == tmp_path / "one-1.0" / "node_modules" / "one"
    assert installed == ["one@1.0"]
