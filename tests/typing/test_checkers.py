"""Programs that use trimcp are typed: mypy and pyright agree with what `user_code.py` asserts of itself."""

import json
import subprocess
import sys

from mypy import api

from tests.programs import PATIENCE, ROOT

PROGRAM = ROOT / "tests" / "typing" / "user_code.py"


def test_mypy_accepts_the_program_of_a_user() -> None:
    # What is wrong inside of trimcp itself is not this test's business, but that of `mypy trimcp`.
    options = [
        "--strict",
        "--warn-unused-ignores",
        "--follow-imports=silent",
        f"--config-file={ROOT / 'pyproject.toml'}",
    ]
    said, complaints, status = api.run([*options, f"--cache-dir={ROOT / '.mypy_cache'}", str(PROGRAM)])
    assert status == 0, said + complaints


def test_pyright_accepts_the_program_of_a_user() -> None:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(PROGRAM)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    found = [
        (line["range"]["start"]["line"] + 1, line["message"]) for line in json.loads(done.stdout)["generalDiagnostics"]
    ]
    assert not found
