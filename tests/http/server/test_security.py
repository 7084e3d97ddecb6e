"""Which requests are let in by their Host and Origin, and what CORS says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.errors import UsageError
from trimcp.http.binding import HttpRequest, PeerConnection
from trimcp.http.server.origins import read_host, read_origin
from trimcp.http.server.security import Cors, RequestGuard, is_loopback


def request(host: str | None = None, origin: str | None = None, method: str = "POST", **more: str) -> HttpRequest:
    fields = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in more.items()}
    if host is not None:
        fields[b"host"] = host.encode("latin-1")
    if origin is not None:
        fields[b"origin"] = origin.encode("latin-1")
    return HttpRequest(method, "/mcp", b"", fields, PeerConnection("test"))


def refused(guard: RequestGuard, asked: HttpRequest) -> str | None:
    """What a refusal is about; judged twice, since verdicts are remembered."""
    first, again = guard.refuse(asked), guard.refuse(asked)
    assert (first is None) is (again is None)
    if first is None:
        return None
    assert first.status == 403
    assert first.fields == ((b"content-type", b"application/json"),)
    body = json.loads(first.body)
    assert "id" not in body and body["error"]["code"] == -32600
    return "host" if "Host" in body["error"]["message"] else "origin"


LOCAL = RequestGuard(loopback=True)
PROXIED = RequestGuard(loopback=True, hosts=["mcp.example.com", "*.internal:8443"])
OPEN = RequestGuard(loopback=False)
NAMED = RequestGuard(loopback=False, hosts=["example.com", "*.example.org", "[2001:db8::1]:9000", "other.net:8443"])
LISTED = RequestGuard(
    loopback=False, origins=["https://app.example.com", "pages.example.com", "*.example.org:8443", "ext://abc"]
)
ANY = RequestGuard(loopback=True, hosts=["*"])


HOSTS: list[tuple[RequestGuard, bool, str]] = [
    (LOCAL, True, "localhost localhost:8000 LocalHost:1 localhost. 127.0.0.1 127.0.0.1:65535 127.9.8.7:80"),
    (LOCAL, True, "[::1] [::1]:8000 [0:0:0:0:0:0:0:1]"),
    (LOCAL, False, "evil.com evil.com:8000 localhost.evil.com 127.0.0.1.evil.com a.localhost 192.168.1.5 0.0.0.0"),
    (LOCAL, False, "[::] 128.0.0.1 2130706433 127.1 0x7f.0.0.1 127.0.0.1@evil.com ::1 [::1 [localhost] [::1]x"),
    (LOCAL, False, "localhost: localhost:evil localhost:99999 http://localhost localhost/ loc\xe4lhost localhost\0"),
    (PROXIED, True, "mcp.example.com MCP.example.com:444 a.internal:8443 a.b.internal:8443 localhost:8000"),
    (PROXIED, False, "a.internal internal:8443 xinternal:8443 example.com"),
    (OPEN, True, "anything.at.all 10.0.0.1:8000 localhost"),
    (OPEN, False, "a,b a:b a/b \xff [zz] [:::]"),
    (NAMED, True, "example.com:1 a.example.org [2001:db8::1]:9000 other.net:8443"),
    (NAMED, False, "localhost example.org [2001:db8::1] other.net sub.example.com"),
    (ANY, True, "evil.com localhost"),
    (ANY, False, "a,b"),
]


@pytest.mark.parametrize(
    ("guard", "taken", "host"), [(*case, host) for *case, hosts in HOSTS for host in hosts.split()]
)
def test_hosts(guard: RequestGuard, taken: bool, host: str) -> None:
    assert refused(guard, request(host)) == (None if taken else "host")


@pytest.mark.parametrize("host", ["localhost, evil.com", " localhost", "local host", "localhost\n"])
def test_a_host_with_blanks_in_it_is_none(host: str) -> None:
    for guard in (LOCAL, OPEN, NAMED, ANY):
        assert refused(guard, request(host)) == "host"


def test_a_request_without_a_host_is_taken_where_any_is_served() -> None:
    for host in (None, ""):
        assert refused(OPEN, request(host)) is refused(ANY, request(host)) is None
        for guard in (LOCAL, PROXIED, NAMED):
            assert refused(guard, request(host)) == "host"


ORIGINS: list[tuple[RequestGuard, str | None, bool, str]] = [
    (LOCAL, "localhost:8000", True, "http://localhost:8000 http://localhost:3000 https://localhost HTTP://LOCALHOST"),
    (LOCAL, "localhost:8000", True, "http://127.0.0.1:6274 http://[::1]:9"),
    (LOCAL, "localhost:8000", False, "null http://evil.com http://localhost.evil.com ext://localhost localhost"),
    (LOCAL, "localhost:8000", False, "http://localhost/ http:// file:// http://192.168.1.5 http://a,http://localhost"),
    # Where it is not known what a server is called, a page of the same name may have been rebound to it.
    (OPEN, "evil.com:8000", False, "http://evil.com:8000 http://evil.com"),
    (OPEN, "10.0.0.1:8000", True, "http://10.0.0.1:8000"),
    (OPEN, "10.0.0.1:8000", False, "http://10.0.0.1:8001 http://10.0.0.2:8000 http://10.0.0.1"),
    (OPEN, "localhost:8000", True, "http://localhost:8000"),
    (OPEN, "localhost:8000", False, "http://localhost:3000"),
    (OPEN, None, False, "http://10.0.0.1"),
    (OPEN, "[2001:db8::1]", True, "https://[2001:db8::1]:443 http://[2001:db8::1]"),
    # Behind a proxy the scheme is not known, so each has its own default port.
    (NAMED, "example.com", True, "https://example.com http://example.com https://example.com:443"),
    (NAMED, "example.com:80", True, "http://example.com"),
    (NAMED, "example.com:443", False, "http://example.com"),
    (NAMED, "example.com", False, "https://example.com:8443 https://a.example.org null"),
    (ANY, "evil.com", False, "http://evil.com"),
    (ANY, "evil.com", True, "http://localhost:3000"),
    (LISTED, "x", True, "https://app.example.com https://app.example.com:443 ext://abc https://a.b.example.org:8443"),
    (LISTED, "x", True, "http://pages.example.com:1 https://pages.example.com"),
    (LISTED, "x", False, "http://app.example.com https://app.example.com:444 ext://abd null ext://pages.example.com"),
    (LISTED, "x", False, "https://a.example.org https://example.org:8443 https://evil.com"),
    (LISTED, "x", False, "https://app.example.com.evil.com https://evilapp.example.com"),
]


@pytest.mark.parametrize(
    ("guard", "host", "taken", "origin"), [(*case, origin) for *case, origins in ORIGINS for origin in origins.split()]
)
def test_origins(guard: RequestGuard, host: str | None, taken: bool, origin: str) -> None:
    assert refused(guard, request(host, origin)) == (None if taken else "origin")
    assert guard.fields(request(host, origin)) == ()


@pytest.mark.parametrize("origin", ["", "http://localhost, http://localhost", "http://localhost http://evil.com"])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    for guard in (LOCAL, OPEN, LISTED):
        assert refused(guard, request("localhost", origin)) == "origin"


def test_any_origin_is_any_but_null() -> None:
    guard = RequestGuard(loopback=False, origins=["*"])
    assert refused(guard, request("x", "https://evil.com")) is None
    assert refused(guard, request("x", "null")) == "origin"


def test_a_rebound_name_is_refused_by_its_host_before_its_origin() -> None:
    assert refused(LOCAL, request("evil.com", "http://localhost")) == "host"


def test_what_is_remembered_is_bounded() -> None:
    guard = RequestGuard(loopback=True)
    for number in range(2000):
        assert guard.refuse(request(f"evil{number}.com")) is not None
        assert guard.refuse(request("localhost", f"http://evil{number}.com")) is not None
    assert guard.refuse(request("a" * 10_000)) is not None
    assert guard.refuse(request("localhost", "http://" + "a" * 10_000)) is not None
    assert guard.refuse(request("localhost")) is None
    for kept in (guard._kept_hosts, guard._kept_origins):
        assert len(kept) <= 256
        assert sum(len(str(key)) for key in kept) < 256 * 600


@given(st.binary(max_size=40))
def test_whatever_is_sent_is_judged(value: bytes) -> None:
    for guard in (LOCAL, OPEN, NAMED, LISTED):
        asked = request()
        asked.fields = {b"host": value, b"origin": value}
        guard.refuse(asked)
    host, origin = read_host(value), read_origin(b"http://" + value)
    assert (None if origin is None else origin.host) == host


def test_which_addresses_are_this_machine_alone() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.0.0.2", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "example.com", "10.0.0.1", "localhost.evil.com")))


@pytest.mark.parametrize(
    "entry", ["", "https://example.com", "a b", "example.com/path", "*.*", "*.127.0.0.1", "a:b", "*a"]
)
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(UsageError, match=r"Invalid host|without a scheme: 'example\.com'"):
        RequestGuard(loopback=False, hosts=[entry])


@pytest.mark.parametrize("entry", ["", "https://", "https://example.com/", "https://example.com/path", "https://*"])
def test_an_entry_that_is_no_origin_is_refused(entry: str) -> None:
    with pytest.raises(UsageError, match="Invalid origin"):
        RequestGuard(loopback=False, origins=[entry])


def test_null_is_let_in_by_no_entry() -> None:
    assert refused(RequestGuard(loopback=False, origins=["null"]), request("x", "null")) == "origin"


def test_one_text_is_not_a_list_of_letters() -> None:
    with pytest.raises(UsageError, match=r"give a list, such as \['example\.com'\]"):
        RequestGuard(loopback=False, hosts="example.com")


PAGE = "https://app.example.com"
CORS = RequestGuard(loopback=True, cors=Cors(origins=[PAGE], max_age=60, headers=["X-Trace"]))
ASKS = {"access_control_request_method": "POST"}


def preflight(guard: RequestGuard, origin: str, **more: str) -> Any:
    return guard.refuse(request("localhost", origin, "OPTIONS", **{**ASKS, **more}))


def test_a_page_that_may_read_is_told_so() -> None:
    assert refused(CORS, request("localhost", PAGE)) is None
    fields = dict(CORS.fields(request("localhost", PAGE)))
    assert fields[b"access-control-allow-origin"] == PAGE.encode()
    assert fields[b"vary"] == b"Origin"
    assert b"mcp-session-id" in fields[b"access-control-expose-headers"].split(b", ")
    assert b"access-control-allow-credentials" not in fields


def test_a_response_to_anybody_else_says_that_it_depends_on_who_asks() -> None:
    for asked in (
        request("localhost"),
        request("localhost", "http://localhost:3000"),
        request("localhost", "https://evil.com"),
    ):
        assert CORS.fields(asked) == ((b"vary", b"Origin"),)


def test_a_preflight_is_answered_with_what_mcp_needs() -> None:
    asked = "content-type, mcp-param-region, Mcp-Param-Region, mcp-param-, mcp-param-a b, x-evil"
    answer = preflight(CORS, PAGE, access_control_request_headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    fields = dict(answer.fields)
    assert fields[b"access-control-allow-origin"] == PAGE.encode()
    assert set(fields[b"access-control-allow-methods"].split(b", ")) == {b"POST", b"GET", b"DELETE"}
    assert fields[b"access-control-max-age"] == b"60"
    assert fields[b"vary"] == b"Origin"
    assert set(fields[b"access-control-allow-headers"].split(b", ")) == {
        *(b"accept", b"authorization", b"content-type", b"dpop", b"last-event-id", b"mcp-method", b"mcp-name"),
        *(b"mcp-protocol-version", b"mcp-session-id", b"x-trace", b"mcp-param-region"),
    }


@pytest.mark.parametrize(
    ("guard", "origin"), [(CORS, "https://evil.com"), (CORS, "null"), (LOCAL, PAGE), (CORS, "http://app.example.com")]
)
def test_a_preflight_of_a_page_that_may_not_is_refused(guard: RequestGuard, origin: str) -> None:
    assert preflight(guard, origin).status == 403


def test_a_preflight_that_is_none_of_ours_is_left_to_the_endpoint() -> None:
    assert preflight(CORS, "http://localhost:3000") is None
    assert CORS.refuse(request("localhost", PAGE, "OPTIONS")) is None


def test_cors_does_not_change_which_hosts_are_served() -> None:
    assert refused(CORS, request("evil.com", PAGE)) == "host"


def test_credentials_are_allowed_where_that_was_asked_for() -> None:
    guard = RequestGuard(loopback=False, cors=Cors(origins=["*.example.com"], allow_credentials=True))
    assert dict(guard.fields(request("x", PAGE)))[b"access-control-allow-credentials"] == b"true"
    assert dict(preflight(guard, PAGE).fields)[b"access-control-allow-credentials"] == b"true"


def test_any_page_may_read_where_that_was_asked_for() -> None:
    guard = RequestGuard(loopback=False, cors=Cors(origins=["*"]))
    assert refused(guard, request("x", "https://evil.com")) is None
    assert dict(guard.fields(request("x", "https://evil.com")))[b"access-control-allow-origin"] == b"*"
    assert refused(guard, request("x", "null")) == "origin"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origins": []}, "name at least one"),
        ({"origins": ["*"], "allow_credentials": True}, "cannot have the origin"),
        ({"origins": ["https://a/b"]}, "Invalid origin"),
        ({"origins": [PAGE], "headers": ["a\nb"]}, "list of header names"),
        ({"origins": [PAGE], "headers": "X-Trace"}, "list of header names"),
    ],
)
def test_cors_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Cors(**options)
