"""Reads the quantities of options: `30s`, `500ms`, `64k`, `0.1%`."""

from __future__ import annotations

import re
from typing import Final

from trimcp.errors import UsageError

_QUANTITY: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-zµ%]*)", re.IGNORECASE)
_SECONDS: Final = {
    "": 1.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
}
_BYTES: Final = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "kib": 2**10, "m": 2**20, "mb": 2**20, "mib": 2**20}
MOST: Final = 10**9
"""The greatest number that any option takes."""


def split(text: str) -> tuple[float, str]:
    """Split a quantity into its number and its unit, in lower case.

    Raises:
        UsageError: it has another form.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or float(found[1]) > MOST:
        raise UsageError(f"{text[:40]!r} is not a quantity: write a number and a unit, such as 30s, 500ms or 64k")
    return float(found[1]), found[2].lower()


def seconds(text: str) -> float:
    """Read a duration, in seconds where it has no unit."""
    number, unit = split(text)
    if unit not in _SECONDS:
        raise UsageError(f"{text[:40]!r} is not a duration: write 500ms, 30s, 2m or 1h")
    return number * _SECONDS[unit]


def size(text: str) -> int:
    """Read a number of bytes: `100`, `64k`, `1m`."""
    number, unit = split(text)
    if unit not in _BYTES:
        raise UsageError(f"{text[:40]!r} is not a size: write 100, 64k or 1m")
    return int(number * _BYTES[unit])


def shown_seconds(value: float) -> str:
    """Write a duration with three digits, and the unit that suits it."""
    for unit, least in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= least * 0.9995:
            return f"{_digits(value / _SECONDS[unit])} {unit}"
    return f"{value * 1e9:.0f} ns" if value else "0"


def shown_bytes(value: float) -> str:
    """Write a number of bytes with three digits, and the unit that suits it."""
    for unit, least in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= least:
            return f"{_digits(value / least)} {unit}"
    return f"{value:.0f} B"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
