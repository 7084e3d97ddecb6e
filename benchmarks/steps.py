"""The steps of reading and answering a call, as functions that can be timed.

`codec` prints them for themselves, `path` as parts of a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.messages import VERSIONS, Era, call_params, call_template
from trimcp.codec.envelope import encode_result, read_message
from trimcp.codec.jsontext import loads
from trimcp.codec.revisions import codec_for
from trimcp.framing.lines import LineSplitter
from trimcp.server.invocation.signature import inspect_function
from trimcp.server.invocation.tool_arguments import ArgumentBinder
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.types.revisions import BY_VERSION

CALLS = 2000
"""Of each step in one repeat."""
TOGETHER = 32
"""Lines in one portion for the splitter."""


def calls_of(era: Era) -> dict[str, Callable[[], Any]]:
    """Each step as a function without arguments, by name."""

    def add(a: int, b: int) -> int:
        return a + b

    signature = inspect_function(add, injected=lambda annotation: False)
    binder = ArgumentBinder(signature)
    converter = ToolResultConverter(signature.returns, owner="add()")
    codec = codec_for(BY_VERSION[VERSIONS[era]])
    decode = codec.params_decoder("tools/call")
    encode = codec.result_encoder("tools/call")
    before, after = call_template(era)
    line = b"%b%d%b" % (before, 4711, after)
    portion, frame = line * TOGETHER, line.rstrip()
    splitter = LineSplitter()
    value = loads(frame)
    params = call_params(era)
    shaped = converter.convert(3)
    result = encode(shaped)
    return {
        f"split {TOGETHER} lines": lambda: splitter.feed(portion),
        "JSON text to value": lambda: loads(frame),
        "value to message": lambda: read_message(value),
        "decode params": lambda: decode(params),
        "bind arguments": lambda: binder.bind(params["arguments"]),
        "convert the result": lambda: converter.convert(3),
        "encode the result": lambda: encode(shaped),
        "result to JSON text": lambda: encode_result(4711, result),
    }


def timed(call: Callable[[], Any], repeats: int) -> float:
    """Microseconds of one call: the least of several repeats, without the loop."""

    def nothing() -> None:
        pass

    return max(_least(call, repeats) - _least(nothing, repeats), 0.0)


def steps_of_a_call(era: Era, repeats: int) -> dict[str, float]:
    """Microseconds for each step of one request."""
    costs = {}
    for step, call in calls_of(era).items():
        cost = timed(call, repeats)
        if step.startswith("split"):
            step, cost = "split one line off", cost / TOGETHER
        costs[step] = cost
    return costs


def _least(call: Callable[[], Any], repeats: int) -> float:
    best = float("inf")
    rounds = range(CALLS)
    for _ in range(repeats):
        began = time.process_time()
        for _ in rounds:
            call()
        best = min(best, time.process_time() - began)
    return best / CALLS * 1e6
