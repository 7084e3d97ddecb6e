"""`trimcp new`: each variant is made, has the right types, and passes its own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from mypy import api

from tests.cli.conftest import Run
from tests.programs import PATIENCE, ROOT, run_python
from trimcp.cli.new_command import Variant, files_of

VARIANTS = {
    "plain": [],
    "over-http": ["--http"],
    "in-docker": ["--docker"],
    "little": ["--minimal"],
    "little-http": ["--minimal", "--http"],
}
"""Options by the name of the project."""


@pytest.fixture
def made(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a project of each variant."""
    monkeypatch.chdir(tmp_path)
    for name, options in VARIANTS.items():
        assert run("new", name, *options).code == 0
    return tmp_path


def test_every_variant_is_typed(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = made / "all_tests"
    tests.mkdir()
    for name in VARIANTS:
        (tests / f"test_{name.replace('-', '_')}.py").write_text((made / name / "tests" / "test_server.py").read_text())
    monkeypatch.setenv("MYPYPATH", os.pathsep.join(str(made / name / "src") for name in VARIANTS))
    options = ["--strict", "--follow-imports=silent", f"--config-file={ROOT / 'pyproject.toml'}"]
    sources = [str(made / name / "src") for name in VARIANTS]
    output, errors, status = api.run([*options, f"--cache-dir={ROOT / '.mypy_cache'}", str(tests), *sources])
    assert status == 0, output + errors


@pytest.mark.parametrize("name", ["plain", "little"])
def test_its_own_tests_pass(made: Path, name: str) -> None:
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=made / name)
    assert " passed" in done.stdout


def test_the_server_answers(made: Path) -> None:
    listed = run_python(
        "-m", "trimcp", "list", "src/plain/server.py", "--env", f"PYTHONPATH={ROOT}", cwd=made / "plain"
    )
    assert "greet(name: string" in listed.stdout
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(made / "over-http" / "src")])}
    code = "from over_http.server import server; server.run_http(0)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stderr is not None
        assert "over-http on http://127.0.0.1:" in process.stderr.readline()
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("direct", "shown"),
    [
        (None, None),
        ('{"url": "https://example.com/t.whl"}', None),
        ('{"url": "file:///home/ada/my%20trimcp", "dir_info": {}}', "pip install '/home/ada/my trimcp[testing]'"),
    ],
)
def test_a_trimcp_that_is_not_from_an_index_is_to_be_installed_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: str | None, shown: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda self, name: direct)
    done = run("new", "notes")
    assert done.code == 0
    assert ("pip install" in done.out) == (shown is not None)
    assert shown is None or shown in done.out


def test_the_files_of_a_variant(made: Path) -> None:
    for name, options in VARIANTS.items():
        variant = Variant(docker="--docker" in options, minimal="--minimal" in options)
        found = {str(path.relative_to(made / name)) for path in (made / name).rglob("*") if path.is_file()}
        package = name.replace("-", "_")
        assert found == {path.replace("$package", package) for path in files_of(variant)}
        project = tomllib.loads((made / name / "pyproject.toml").read_text())["project"]
        assert project["scripts"] == {name: f"{package}.server:main"}
        assert not [path for path in found if "$" in (made / name / path).read_text().replace("${", "")]
    assert "--http" in (made / "in-docker" / "Dockerfile").read_text()
    entry = json.loads((made / "plain" / ".vscode" / "mcp.json").read_text())["servers"]["plain"]
    assert entry["command"] == "${workspaceFolder}/.venv/bin/python"
    assert json.loads((made / "over-http" / ".mcp.json").read_text())["mcpServers"]["over-http"]["type"] == "http"
    assert "${{ matrix.python }}" in (made / "plain" / ".github" / "workflows" / "ci.yml").read_text()


def test_no_file_is_overwritten(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    done = run("new", "notes", "--here")
    assert done.code == 2
    assert "README.md exists in" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    (tmp_path / "README.md").unlink()
    assert run("new", "notes", "--here", "--minimal").code == 0
    assert (tmp_path / "src" / "notes" / "server.py").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thing").touch()
    done = run("new", "other")
    assert done.code == 2
    assert "exists and is not empty" in done.err


@pytest.mark.parametrize("name", ["Notes", "no_tes", "1", "a--b", "../a", "json", "import", "trimcp"])
def test_names_that_cannot_be_packages_are_refused(run: Run, name: str) -> None:
    assert run("new", name).code == 2


def test_every_template_is_used_and_there() -> None:
    folder = ROOT / "trimcp" / "cli" / "templates"
    there = {path.name.removesuffix(".txt") for path in folder.iterdir()}
    used = {
        template
        for docker in (False, True)
        for minimal in (False, True)
        for template in files_of(Variant(docker=docker, minimal=minimal)).values()
    }
    assert there == used - {""}
