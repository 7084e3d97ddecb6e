"""ABSENT, and the declaration of fields."""

import copy
import pickle

import attrs

from trimcp.types.fields import ABSENT, ALWAYS, PLAIN, Absent, spec, spec_field, spec_of


def test_absent_is_one_falsy_object_that_survives_copying() -> None:
    assert not ABSENT
    assert ABSENT is not None
    assert repr(ABSENT) == "ABSENT"
    assert copy.deepcopy(ABSENT) is ABSENT
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert list(Absent) == [ABSENT]


@attrs.define
class Sample:
    plain: int
    old: int | None = spec_field(until="2025-03-26")
    new: int | None = attrs.field(
        default=None, metadata=spec(since="2025-06-18", required_since="2026-07-28", fill=0, shape="ttl")
    )
    dropped: int | None = attrs.field(default=None, metadata=spec(required_until="2025-06-18"))
    odd: int | None = spec_field(wire_name="$odd")
    always: int = attrs.field(default=1, metadata=ALWAYS)


def test_a_field_says_which_revisions_have_it_and_which_require_it() -> None:
    plain, old, new, dropped, odd, always = (spec_of(attribute) for attribute in attrs.fields(Sample))
    assert plain is PLAIN
    assert [old.exists_in(order) for order in range(5)] == [True, True, False, False, False]
    assert [new.exists_in(order) for order in range(5)] == [False, False, True, True, True]
    assert [new.required_in(order) for order in range(5)] == [False, False, False, False, True]
    assert [dropped.required_in(order) for order in range(5)] == [True, True, True, False, False]
    assert not any(plain.required_in(order) for order in range(5))
    assert all(always.required_in(order) for order in range(5))
    assert (new.fill, new.shape) == (0, "ttl")
    assert old.fill is ABSENT
    assert odd.wire_name == "$odd"
    assert Sample(1) == Sample(1, None, None, None, None, 1)
