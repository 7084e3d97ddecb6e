"""The machine and the software that a run was made with."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

PACKAGES: Final = ("trimcp", "trio", "orjson")


def environment() -> dict[str, Any]:
    """Return the facts, as JSON."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}".strip(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        **{name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout that is not installed
        return None


def line(facts: dict[str, Any]) -> str:
    """Write the facts as a line."""
    versions = ", ".join(f"{name} {facts[name]}" for name in PACKAGES if facts[name])
    return (
        f"Python {facts['python']}, {facts['system']}, {facts['cpus']} CPUs (load {facts['load']} before), {versions}"
    )
