"""For all tests: the log begins anew in each, and the files that take longest have the mark `slow`."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from trimcp.observability import log, stderr

# A busy machine is no failure of a test, and neither is a run in which few examples are what a filter lets through.
settings.register_profile(
    "no clock",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    # CI tries the same examples each time; runs of developers look for new ones.
    derandomize="CI" in os.environ,
)
settings.load_profile("no clock")

# Where a shell has started the tests in the background, Ctrl-C is ignored, also in the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# All tests and their modules are looked at by each full collection of garbage: these come less often than by default.
gc.set_threshold(10_000, 10, 10)

HERE = Path(__file__).parent
SLOW = {
    "actors/test_hostile_work.py",
    "auth/provider/test_provider.py",
    "bench/test_command.py",
    "cli/dev/test_dev.py",
    "cluster/test_valkey_failures.py",
    "conformance/test_official_client_leg.py",
    "conformance/test_official_suite.py",
    "hostile/test_client_kinds.py",
    "hostile/test_http_options.py",
    "hostile/test_kinds.py",
    "hostile/test_tools.py",
    "interop/test_official_server.py",
    "interop/test_peer_servers.py",
    "process/test_http_stopping.py",
    "recording/test_relay.py",
    "recording/test_replay_command.py",
    "stores/test_valkey_tls.py",
    "testing/test_planted_faults.py",
    "view/test_page.py",
    "view/test_page_holds.py",
    "view/test_try.py",
}
"""Together they take as long as a third of all the others. `.ci/run` runs them; `-m slow` does so alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.relative_to(HERE).as_posix() in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """No test takes the lines of another, or changes its level."""
    log._throttles.clear()
    stderr._stderr._dropped, stderr._stderr._rest = 0, b""
    before = log._threshold, log.informs
    yield
    log._threshold, log.informs = before
