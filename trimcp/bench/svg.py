"""Draws line charts as SVG, for pages that load nothing. Colours and dashes are classes, which the page defines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

import attrs

WIDTH: Final = 720
HEIGHT: Final = 260
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 34, 40
"""The margins around the plot, which hold the marks and their labels."""
MOST: Final = 1000
"""Points of one line; of more, only some are drawn."""

Points = Sequence[tuple[float, float]]


@attrs.frozen
class Axis:
    """Maps values to a length, evenly or by their logarithms, and knows its marks."""

    least: float
    greatest: float
    shown: Callable[[float], str]
    """Writes a value beside its mark."""
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return where a value is, from 0 to 1."""
        if self.is_log:
            low, high = math.log10(self.least), math.log10(self.greatest)
            return (math.log10(max(value, self.least)) - low) / (high - low)
        return (value - self.least) / (self.greatest - self.least)

    def marks(self) -> Iterator[float]:
        """Yield the values that have marks."""
        if self.is_log:
            for power in range(round(math.log10(self.least)), round(math.log10(self.greatest)) + 1):
                yield 10.0**power
            return
        step = _nice((self.greatest - self.least) / 5)
        for number in range(math.ceil(self.least / step - 1e-9), math.floor(self.greatest / step + 1e-9) + 1):
            yield number * step


def even_axis(values: Sequence[float], shown: Callable[[float], str]) -> Axis:
    """Return an axis from 0 to the greatest of the values."""
    greatest = max(values, default=0.0) or 1.0
    step = _nice(greatest / 5)
    return Axis(0.0, math.ceil(greatest / step) * step, shown)


def log_axis(values: Sequence[float], shown: Callable[[float], str]) -> Axis:
    """Return a logarithmic axis over all values above 0, between powers of ten."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return Axis(10.0**low, 10.0 ** max(high, low + 1), shown, is_log=True)


def _nice(step: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, … that is not below a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def line_chart(title: str, lines: Sequence[tuple[str, Points]], x: Axis, y: Axis, x_title: str) -> str:
    """Return a chart with a legend.

    Args:
        title: its title, which says the unit of the values.
        lines: names, and points in the order of x.
        x: the horizontal axis.
        y: the vertical one.
        x_title: the title of the horizontal axis.
    """
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(point: tuple[float, float]) -> str:
        return f"{LEFT + x.at(point[0]) * width:.1f},{TOP + (1 - y.at(point[1])) * height:.1f}"

    names = ", ".join(name for name, _ in lines)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {names}")}">',
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>',
    ]
    for value in y.marks():
        at = TOP + (1 - y.at(value)) * height
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="mark end" x="{LEFT - 6}" y="{at + 4:.1f}">{escape(y.shown(value))}</text>')
    for value in x.marks():
        at = LEFT + x.at(value) * width
        label = escape(x.shown(value))
        parts.append(f'<text class="mark middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}">{label}</text>')
    parts.append(f'<text class="mark middle" x="{LEFT + width / 2:.0f}" y="{HEIGHT - 6}">{escape(x_title)}</text>')
    at = WIDTH - RIGHT - sum(9 * len(name) + 40 for name, _ in lines)
    for number, (name, points) in enumerate(lines):
        parts.append(f'<polyline class="line l{number}" points="{" ".join(map(place, _some(points)))}"/>')
        parts.append(f'<line class="line l{number}" x1="{at}" x2="{at + 24}" y1="12" y2="12"/>')
        parts.append(f'<text class="mark" x="{at + 28}" y="16">{escape(name)}</text>')
        at += 9 * len(name) + 40
    return "\n".join([*parts, "</svg>"])


def _some(points: Points) -> Points:
    if len(points) <= MOST:
        return points
    return [*points[:: math.ceil(len(points) / MOST)], points[-1]]
