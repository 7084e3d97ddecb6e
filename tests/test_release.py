"""The release workflow: a tag that is the version, checks, and an upload without a token."""

import subprocess
from typing import Any

from ruamel.yaml import YAML

import trimcp
from tests.programs import ROOT

TEXT = (ROOT / ".github" / "workflows" / "release.yml").read_text()
JOBS: Any = YAML(typ="safe").load(TEXT)["jobs"]


def test_only_the_tag_of_the_version_is_published() -> None:
    (check,) = [step["run"] for step in JOBS["build"]["steps"] if "GITHUB_REF_NAME" in step.get("run", "")]
    for tag, code in ((f"v{trimcp.__version__}", 0), ("v9.9.9", 1), (trimcp.__version__, 1)):
        environment = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        assert subprocess.run(["bash", "-c", check], cwd=ROOT, env=environment, check=False).returncode == code


def test_only_the_last_job_may_publish_and_it_needs_the_others() -> None:
    allowed = [name for name, job in JOBS.items() if "id-token" in job.get("permissions", {})]
    assert allowed == ["publish"]
    assert set(JOBS["publish"]["needs"]) == set(JOBS) - {"publish"}
    assert "secrets." not in TEXT


def test_the_version_stands_in_one_place() -> None:
    source = (ROOT / "trimcp" / "__init__.py").read_text()
    assert source.count(f'__version__ = "{trimcp.__version__}"') == 1
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
