"""ABSENT, and the declaration of fields."""

import copy
import pickle

import attrs
import pytest

import trimcp.types
from trimcp.types.fields import ABSENT, ALWAYS, PLAIN, Absent, Extensible, spec, spec_field, spec_of
from trimcp.types.metadata import Annotations, Icon


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
        default=None, metadata=spec(since="2025-06-18", required_since="2026-07-28", fill=0, check="ttl")
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
    assert (new.fill, new.check) == (0, "ttl")
    assert old.fill is ABSENT
    assert odd.wire_name == "$odd"
    assert Sample(1) == Sample(1, None, None, None, None, 1)


def test_payload_classes_inherit_equality_and_repr_since_generating_them_is_slow() -> None:
    for name in trimcp.types.__all__:
        getattr(trimcp.types, name)  # loads its module
    waiting, found = [Extensible], set[type]()
    while waiting:
        cls = waiting.pop()
        found.add(cls)
        waiting += cls.__subclasses__()
    of_the_package = [cls for cls in found - {Extensible} if cls.__module__.startswith("trimcp.types.")]
    assert len(of_the_package) > 100
    assert [cls for cls in of_the_package if {"__eq__", "__repr__"} & vars(cls).keys()] == []


def test_payloads_are_equal_by_class_and_fields_and_show_their_fields() -> None:
    one, other = Icon("data:,", sizes=["1x1"]), Icon("data:,", sizes=["1x1"])
    assert one == other
    assert one != Icon("data:,", sizes=["1x1"], extra={"x": 1})
    assert one != Annotations()
    assert repr(Annotations(priority=0.5)) == "Annotations(extra={}, audience=None, priority=0.5, last_modified=None)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
