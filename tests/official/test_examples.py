"""What the official schemas allow is read, and written again as it was."""

from typing import Any

import orjson
import pytest

from tests.official import schemas
from tests.official.definitions import CASES, Envelope, ErrorMessage, ErrorObject, Row, case_id, rows_of
from tests.official.deviations import deviation_for
from tests.official.generator import UNKNOWN, examples, validator
from tests.official.roundtrip import DECODED, round_trip
from trimcp.types.revisions import BY_VERSION, LATEST, Revision

SPEC_EXAMPLES = [
    (definition, name, value)
    for definition, found in schemas.spec_examples(LATEST.version).items()
    for name, value in found
]


def text(value: Any) -> bytes:
    """JSON text, in which 1, 1.0 and true are three values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def without_unknown_members(row: Row, example: Any) -> Any:
    """The example as the codec gives it back: unknown members of an envelope are ignored."""
    if isinstance(example, list):
        return [without_unknown_members(row, message) for message in example]
    if isinstance(row.target, Envelope | ErrorObject | ErrorMessage):
        example = {name: entry for name, entry in example.items() if name != UNKNOWN}
        if "error" in example:
            example["error"] = {name: entry for name, entry in example["error"].items() if name != UNKNOWN}
    return example


@pytest.mark.parametrize(
    ("revision", "row"), [case for case in CASES if isinstance(case[1].target, DECODED)], ids=case_id
)
def test_generated_examples_survive_a_round_trip(revision: Revision, row: Row) -> None:
    definitions = schemas.definitions(revision.version)
    is_valid = validator(row.name, definitions)
    made = [example for example in examples(row.name, definitions) if is_valid(example)]
    assert made
    for example in made:
        if isinstance(example, dict) and is_refused_on_purpose(row, revision, example):
            continue
        again = round_trip(row, revision, example)
        assert is_valid(again)
        assert text(again) == text(without_unknown_members(row, example))


def is_refused_on_purpose(row: Row, revision: Revision, example: dict[str, Any]) -> bool:
    params = example.get("params", example)
    missing = ("requestId",) if "requestId" not in params else ()
    return deviation_for(row.name, missing, "refuses", revision) is not None


INCOMPLETE = {"read-resource-result-response"}
"""Examples of the specification without the caching hints that it requires; they are added on the way out."""


@pytest.mark.parametrize(
    ("definition", "name", "value"), SPEC_EXAMPLES, ids=[f"{case[0]}-{case[1]}" for case in SPEC_EXAMPLES]
)
def test_examples_of_the_specification_survive_a_round_trip(definition: str, name: str, value: Any) -> None:
    revision = BY_VERSION[LATEST.version]
    again = round_trip(rows_of(revision)[definition], revision, value)
    assert validator(definition, schemas.definitions(revision.version))(again)
    if name not in INCOMPLETE:
        assert text(again) == text(value)
