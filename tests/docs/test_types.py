"""The programs of README.md and docs/ are typed: mypy and pyright accept them in strict mode."""

import json
import subprocess
import sys
from pathlib import Path

from mypy import api

from tests.docs.pages import python_blocks
from tests.programs import PATIENCE, ROOT


def _write_programs(folder: Path) -> None:
    programs = [block for block in python_blocks() if block.orders == "runs" or block.page.name == "README.md"]
    for block in programs:
        # With the lines of the page, so that an error leads to it.
        name = f"{block.page.stem}_{block.line}".replace("-", "_")
        (folder / f"{name}.py").write_text("\n" * block.line + block.text)


def test_pyright_accepts_the_programs_of_the_pages(tmp_path: Path) -> None:
    _write_programs(tmp_path)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    found = [
        (Path(line["file"]).name, line["range"]["start"]["line"] + 1, line["message"])
        for line in json.loads(done.stdout)["generalDiagnostics"]
    ]
    assert not found


def test_mypy_accepts_the_programs_of_the_pages(tmp_path: Path) -> None:
    _write_programs(tmp_path)
    options = ["--strict", "--follow-imports=silent", f"--config-file={ROOT / 'pyproject.toml'}"]
    output, errors, status = api.run([*options, f"--cache-dir={ROOT / '.mypy_cache'}", str(tmp_path)])
    assert status == 0, output + errors
