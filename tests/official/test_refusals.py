"""What the official schemas refuse is refused, and nothing more: examples with one property gone or of another type."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.official import schemas
from tests.official.definitions import CASES, Answer, Envelope, Message, Row, case_id
from tests.official.deviations import DEVIATIONS, Deviation, deviation_for
from tests.official.generator import UNKNOWN, examples, validator
from tests.official.roundtrip import DECODED, AnotherKind, round_trip
from trimcp.codec.envelope import InvalidMessage
from trimcp.errors import InvalidPayload
from trimcp.types.revisions import REVISIONS, Revision

REPLACEMENTS: tuple[Any, ...] = (None, True, 7, 7.5, "text", [], ["text"], [7], {}, {"any": {}})
DEPTH = 3
"""Properties below this level have definitions, and tests, of their own as a rule."""

seen: set[tuple[Deviation, str]] = set()
"""The deviations that the tests before the last one have met."""

OF_THE_ENVELOPE = {"jsonrpc", "id", "method"}
"""Members of a message that its method knows nothing of; the envelopes have rows of their own."""


CHECKED = [case for case in CASES if isinstance(case[1].target, DECODED)]


def mutations(example: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The example with one property taken away or replaced, and the path of that property."""
    if not isinstance(example, dict) or len(path) >= DEPTH:
        return
    for name, entry in example.items():
        if name == UNKNOWN:
            continue
        here = (*path, name)
        yield here, {other: value for other, value in example.items() if other != name}
        for replacement in REPLACEMENTS:
            yield here, {**example, name: replacement}
        for below, changed in mutations(entry, here):
            yield below, {**example, name: changed}


def is_taken(row: Row, revision: Revision, value: Any) -> bool:
    try:
        round_trip(row, revision, value)
    except (InvalidPayload, InvalidMessage, AnotherKind):
        return False
    return True


def without_null(value: Any, path: tuple[str, ...]) -> Any:
    """Return the value without the property at the path, if that is null and no `id`; else the value."""
    name, *below = path
    if below:
        return {**value, name: without_null(value[name], tuple(below))}
    is_null = name != "id" and name in value and value[name] is None
    return {other: entry for other, entry in value.items() if other != name} if is_null else value


def is_beyond(row: Row, path: tuple[str, ...]) -> bool:
    """Whether the property is none that the codec reads for this definition."""
    if isinstance(row.target, Message | Answer):
        return path[0] in OF_THE_ENVELOPE
    return isinstance(row.target, Envelope) and path[0] in ("params", "result") and len(path) > 1


@pytest.mark.parametrize(("revision", "row"), CHECKED, ids=case_id)
def test_what_the_schema_refuses_is_refused_and_nothing_more(revision: Revision, row: Row) -> None:
    definitions = schemas.definitions(revision.version)
    is_valid = validator(row.name, definitions)
    made = [example for example in examples(row.name, definitions) if is_valid(example)]
    differences = []
    for example in (made[0], made[-1]):
        for path, changed in mutations(example):
            if is_beyond(row, path):
                continue
            allowed, taken = is_valid(changed), is_taken(row, revision, changed)
            if allowed == taken or (taken and is_valid(without_null(changed, path))):
                continue  # the same, or null where an optional property is absent, which some peers write
            deviation = deviation_for(row.name, path, "takes" if taken else "refuses", revision)
            if deviation is None:
                differences.append(f"trimcp {'takes' if taken else 'refuses'} {'.'.join(path)}: {changed}"[:300])
            else:
                seen.add((deviation, revision.version))
    assert differences == []


def test_every_deviation_is_one() -> None:
    versions = {version for _, version in seen}
    if len(versions) < len(REVISIONS):
        pytest.skip("not all revisions were checked before")
    assert {(deviation, version) for deviation in DEVIATIONS for version in deviation.versions} == seen
