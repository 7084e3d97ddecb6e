"""Tools for the tests of programs that use trimcp.

`open_client` connects a client; `Wire` records and makes faults; `open_fake_client` and `FakeServer` speak raw
messages; `check_server` checks a whole server. For authors of transports and stores: `check_transport`, `check_store`.
"""

from trimcp.recording.server import replay
from trimcp.testing.client import open_client
from trimcp.testing.fake_peer import FakePeer, FakeServer, open_fake_client
from trimcp.testing.recorder import Recorded, Recorder
from trimcp.testing.server_check import check_server
from trimcp.testing.wire import Wire

__all__ = [
    "FakePeer",
    "FakeServer",
    "Recorded",
    "Recorder",
    "Wire",
    "check_server",
    "open_client",
    "open_fake_client",
    "replay",
]
