"""The method table: what holds of every row, and the views of it."""

from typing import Any

import attrs
import pytest

from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities
from trimcp.types.fields import spec_of
from trimcp.types.jsonrpc import ProgressToken
from trimcp.types.methods import METHODS, ROWS, Method, methods_of, resolve
from trimcp.types.revisions import BY_VERSION, LATEST, LATEST_LEGACY, REVISIONS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.since}")
def test_every_row_names_classes_that_exist(row: Method) -> None:
    assert resolve(row.params)
    assert (row.result is not None) is (row.kind == "request")
    if row.result is not None:
        assert attrs.has(resolve(row.result))


def test_rows_of_one_method_do_not_overlap() -> None:
    for revision in REVISIONS:
        names = [row.name for row in ROWS if row.exists_in(revision)]
        assert len(names) == len(set(names))


def capability_exists(capabilities: Any, path: str, order: int) -> bool:
    """Whether a path of attributes leads somewhere in that revision."""
    cls = capabilities
    for step in path.split("."):
        attribute = attrs.fields_dict(attrs.resolve_types(cls))[step]
        if not spec_of(attribute).exists_in(order):
            return False
        cls = next((part for part in getattr(attribute.type, "__args__", ()) if attrs.has(part)), None)
    return True


@pytest.mark.parametrize("revision", REVISIONS, ids=lambda revision: revision.version)
def test_every_capability_is_one_of_its_revision(revision: Any) -> None:
    for row in methods_of(revision).values():
        if row.capability is None:
            continue
        # A request needs the receiver's, a notification the sender's.
        by_client = row.sender in ("client", "both") if row.kind == "notification" else row.sender in ("server", "both")
        by_server = row.sender in ("server", "both") if row.kind == "notification" else row.sender in ("client", "both")
        if by_client:
            assert capability_exists(ClientCapabilities, row.capability, revision.order)
        if by_server:
            assert capability_exists(ServerCapabilities, row.capability, revision.order)


def test_a_view_holds_what_one_side_may_send_in_a_revision() -> None:
    legacy, modern = LATEST_LEGACY, LATEST
    assert "ping" in methods_of(legacy, "client")
    assert "ping" in methods_of(legacy, "server")
    assert "ping" not in methods_of(modern)
    assert "notifications/progress" in methods_of(legacy, "client")
    assert "notifications/progress" not in methods_of(modern, "client")
    assert "notifications/progress" in methods_of(modern, "server")
    assert "tools/call" not in methods_of(modern, "server")
    assert methods_of(modern, "client") is methods_of(modern, "client")


def test_nothing_but_requests_is_sent_by_a_client_in_the_modern_era_save_cancelled() -> None:
    sent = methods_of(LATEST, "client").values()
    assert [row.name for row in sent if row.kind == "notification"] == ["notifications/cancelled"]
    assert not [row for row in methods_of(LATEST, "server").values() if row.kind == "request"]


def test_completion_needs_a_capability_only_where_there_is_one() -> None:
    assert methods_of(BY_VERSION["2024-11-05"])["completion/complete"].capability is None
    assert methods_of(BY_VERSION["2025-03-26"])["completion/complete"].capability == "completions"
    assert METHODS["completion/complete"].capability == "completions"


def test_what_must_work_when_all_is_busy_takes_no_place() -> None:
    requests = {row.name for row in ROWS if row.kind == "request" and not row.takes_place}
    assert requests == {"initialize", "server/discover", "ping", "subscriptions/listen"}
    assert {row.name for row in ROWS if row.kind == "request" and not row.cancellable} == {"initialize"}
    assert {row.name for row in ROWS if row.kind == "request" and row.default_deadline is None} == {
        "subscriptions/listen",
        "tasks/result",
    }
    assert {row.name for row in ROWS if row.asks} == {"tools/call", "prompts/get", "resources/read"}


def test_a_progress_token_is_a_number_or_a_text() -> None:
    assert ProgressToken == int | str
