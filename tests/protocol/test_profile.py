"""The profile that each modern request carries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.session.peer import META, MODERN
from trimcp.protocol.client_profile import ClientProfile, ProfileReader
from trimcp.types.jsonrpc import ErrorData
from trimcp.types.revisions import REVISIONS, Era
from trimcp.types.utilities import LOGGING_LEVELS

LEVEL = "io.modelcontextprotocol/logLevel"


@pytest.mark.parametrize("meta", [None, [], "x", {}, {"progressToken": 1}])
def test_without_a_version_a_message_is_none_of_the_modern_era(meta: Any) -> None:
    assert not ProfileReader(REVISIONS).concerns(meta)


def test_a_side_without_modern_revisions_sees_no_meaning_in_the_keys() -> None:
    legacy = [r for r in REVISIONS if r.era is Era.LEGACY]
    assert ProfileReader(REVISIONS).concerns(META)
    assert not ProfileReader(legacy).concerns(META)


def test_a_profile_is_read_and_kept_while_it_is_the_same() -> None:
    reader = ProfileReader(REVISIONS)
    first = reader.profile(dict(META))
    assert isinstance(first, ClientProfile)
    assert (first.revision.version, first.log_level) == (MODERN, None)
    assert first.info is not None
    assert first.info.name == "raw"
    assert reader.profile({**META, "progressToken": 5}) is first
    other = reader.profile({**META, LEVEL: "error"})
    assert isinstance(other, ClientProfile)
    assert other.log_level == "error"
    assert reader.profile(dict(META)) == first == reader.profile({**META, LEVEL: None})


def test_a_profile_with_an_integer_beyond_64_bits_is_kept_while_it_is_the_same() -> None:
    reader = ProfileReader(REVISIONS)
    capabilities = "io.modelcontextprotocol/clientCapabilities"
    first = reader.profile({**META, capabilities: {"experimental": {"x": {"most": 2**70}}}})
    assert isinstance(first, ClientProfile)
    assert reader.profile({**META, capabilities: {"experimental": {"x": {"most": 2**70}}}}) is first
    assert reader.profile({**META, capabilities: {"experimental": {"x": {"most": 2**70 + 1}}}}) is not first


def test_after_an_error_the_next_profile_is_read_again() -> None:
    reader = ProfileReader(REVISIONS)
    good = reader.profile(dict(META))
    bad = reader.profile({**META, LEVEL: "loud"})
    assert isinstance(good, ClientProfile)
    assert isinstance(bad, ErrorData)
    assert bad.code == -32602
    assert LEVEL in bad.message
    again = reader.profile(dict(META))
    assert isinstance(again, ClientProfile)
    assert again.log_level is None


@pytest.mark.parametrize("level", LOGGING_LEVELS)
def test_every_level_is_known(level: str) -> None:
    assert isinstance(ProfileReader(REVISIONS).profile({**META, LEVEL: level}), ClientProfile)
