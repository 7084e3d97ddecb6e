"""Every event of the log has a name in `trimcp.observability.events`, and every name there is logged."""

from tests.docs.logged import places
from trimcp.observability import events

NAMES = {name: value for name, value in vars(events).items() if name.isupper()}


def test_events_are_logged_by_their_names() -> None:
    # The listeners log what they report.
    others = {place.where.partition(":")[0] for place in places() if place.constant not in NAMES}
    assert others == {"trimcp/transports/listener.py"}


def test_every_name_is_logged_and_stands_for_one_event() -> None:
    logged = {place.constant for place in places()}
    assert [name for name in NAMES if name not in logged] == []
    assert len(set(NAMES.values())) == len(NAMES)
    assert len(NAMES) > 80
