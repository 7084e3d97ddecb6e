"""What is made of a URL and of headers, before anything is sent."""

from __future__ import annotations

import os
import sys

import httpx2
import pytest

from trimcp.errors import ExchangeFailed, UsageError
from trimcp.http.client.connect import http_client_for
from trimcp.http.client.httpx_client import HttpxClient
from trimcp.http.client.pooled_client import PooledHttpClient
from trimcp.http.h1.request_head import RequestHeads
from trimcp.http.urls import origin_of, redirected, shown


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def direct(url: str, headers: dict[str, str] | None = None) -> RequestHeads:
    remote = http_client_for(url, headers or {})
    assert isinstance(remote, PooledHttpClient)
    return remote.heads(remote.url)


def test_a_head_has_the_common_fields_its_own_and_a_length() -> None:
    target = direct("http://h.test:81/mcp?a=b c", {"X-Key": "k"})
    for _ in range(2):
        assert target.head("POST", {"Accept": "x", "Mcp-Name": "é"}, 3) == (
            b"POST /mcp?a=b%20c HTTP/1.1\r\nhost: h.test:81\r\nuser-agent: trimcp\r\naccept-encoding: identity\r\n"
            b"x-key: k\r\nAccept: x\r\nMcp-Name: \xe9\r\ncontent-length: 3\r\n\r\n"
        )
    assert target.head("POST", {}, None).endswith(b"x-key: k\r\ncontent-length: 0\r\n\r\n")
    assert target.head("GET", {}, None).endswith(b"x-key: k\r\n\r\n")


def test_what_a_request_sets_is_set_once() -> None:
    head = direct("http://h.test/", {"accept": "mine", "User-Agent": "me"}).head("GET", {"Accept": "its"}, None)
    assert (
        head == b"GET / HTTP/1.1\r\nhost: h.test\r\nuser-agent: me\r\naccept-encoding: identity\r\nAccept: its\r\n\r\n"
    )


def test_many_sets_of_names_are_not_kept_for_ever() -> None:
    target = direct("http://h.test/")
    for number in range(1000):
        assert b"X-%d: 1\r\n" % number in target.head("GET", {f"X-{number}": "1"}, None)
    assert len(target._beginnings) <= 64


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0", "ключ", "x\r\n"])
def test_a_header_that_would_not_stay_one_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"'bad'.*one line of Latin-1"):
        http_client_for("http://h.test/", {"Bad": value})
    with pytest.raises(UsageError, match=r"header Bad: give one line of Latin-1"):
        direct("http://h.test/").head("POST", {"Good": "x", "Bad": value}, 0)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "Content-Length", "transfer-encoding"])
def test_a_name_that_is_none_or_not_the_users_to_set_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"requests cannot have it"):
        http_client_for("http://h.test/", {name: "1"})


@pytest.mark.parametrize(
    "url", ["", "ftp://a/", "http://", "http:///mcp", "//a", "http://a:99999/", "http://a:0/", "http://ü..b/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"Invalid URL"):
        http_client_for(url, {})


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://h.test", b"GET / ", b"h.test"),
        ("http://h.test:80/a", b"GET /a ", b"h.test"),
        ("https://h.test:443/a%20b#c", b"GET /a%20b ", b"h.test"),
        ("https://h.test:80/", b"GET / ", b"h.test:80"),
        ("http://[::1]:8080/é", b"GET /%C3%A9 ", b"[::1]:8080"),
        ("http://ü.test/", b"GET / ", b"xn--tda.test"),
        ("http://H.test?x", b"GET /?x ", b"h.test"),
    ],
)
def test_a_url_is_a_line_and_a_host(url: str, line: bytes, host: bytes) -> None:
    assert direct(url).head("GET", {}, None).startswith(line + b"HTTP/1.1\r\nhost: " + host + b"\r\n")


def test_credentials_in_a_url_go_into_a_field_and_nowhere_else() -> None:
    remote = http_client_for("http://user:p%40ss:w@h.test:81/mcp", {})
    assert isinstance(remote, PooledHttpClient)
    assert remote.url == "http://h.test:81/mcp"
    # "user:p@ss:w"
    assert b"\r\nauthorization: Basic dXNlcjpwQHNzOnc=\r\n" in remote.heads(remote.url).head("GET", {}, None)


def test_an_authorization_of_the_users_goes_before_the_urls() -> None:
    assert b"\r\nauthorization: Bearer x\r\n" in direct("http://u@h.test/", {"Authorization": "Bearer x"}).head(
        "GET", {}, None
    )


def test_origins_are_compared_as_what_they_are() -> None:
    assert origin_of("http://H.test/") == origin_of("http://u@h.test:80/x")
    assert origin_of("http://h.test/") != origin_of("https://h.test/")
    assert shown("http://u:secret@h.test/mcp?token=secret") == "http://h.test/mcp"


def test_a_redirect_leads_to_the_same_origin_or_nowhere() -> None:
    assert redirected("http://h.test/mcp", "/mcp/", 307) == "http://h.test/mcp/"
    assert redirected("http://h.test/mcp", "http://h.test:80/b", 308) == "http://h.test:80/b"
    with pytest.raises(ExchangeFailed, match=r"redirects elsewhere: connect to https://h.test/mcp instead$") as caught:
        redirected("http://h.test/mcp", "https://h.test/mcp?secret", 307)
    assert caught.value.status == 307
    with pytest.raises(ExchangeFailed, match=r"connect to http://.*x1b\[31m.*characters\) instead$") as caught:
        redirected("http://h.test/mcp", f"http://other.test/\x1b[31m{'a' * 50_000}", 307)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    for location in ("ftp://h.test/", "http://[", "mailto:x"):
        with pytest.raises(ExchangeFailed, match=r"an invalid URL"):
            redirected("http://h.test/mcp", location, 307)


# --- which library ---------------------------------------------------------------------


async def test_a_client_of_the_users_is_used_and_left_open() -> None:
    async with httpx2.AsyncClient() as client:
        remote = http_client_for("http://h.test/", {}, client)
        assert isinstance(remote, HttpxClient)
        await remote.aclose()
        assert not client.is_closed


@pytest.mark.parametrize(
    ("name", "value", "url", "is_direct"),
    [
        ("http_proxy", "http://proxy.test", "http://h.test/", False),
        ("HTTP_PROXY", "http://proxy.test", "http://h.test/", False),
        ("http_proxy", "http://proxy.test", "https://h.test/", True),
        ("HTTPS_PROXY", "http://proxy.test", "https://h.test/", False),
        ("ALL_PROXY", "http://proxy.test", "https://h.test/", False),
        ("http_proxy", "http://proxy.test", "http://inside.test:8000/", True),
        ("http_proxy", "", "http://h.test/", True),
    ],
)
def test_a_proxy_of_the_environment_is_gone_through(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, url: str, is_direct: bool
) -> None:
    for each in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(each)  # those of the machine
    monkeypatch.setenv("NO_PROXY", "inside.test")
    monkeypatch.setenv(name, value)
    assert type(http_client_for(url, {})).__name__ == ("PooledHttpClient" if is_direct else "HttpxClient")


def test_without_httptools_httpx_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "httptools")
    assert type(http_client_for("http://h.test/", {})).__name__ == "HttpxClient"


def test_without_either_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "httptools", "httpx2")
    with pytest.raises(UsageError, match=r"\[http\].*pip install httpx2"):
        http_client_for("http://h.test/", {})


@pytest.mark.parametrize("broken", ["pooled_client", "httpx_client"])
def test_a_module_that_cannot_be_imported_for_another_reason_is_not_taken_for_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    without(monkeypatch, *(["httptools"] if broken == "httpx_client" else []))
    monkeypatch.setitem(sys.modules, f"trimcp.http.client.{broken}", None)
    with pytest.raises(ImportError, match=broken):
        http_client_for("http://h.test/", {})


def without(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    for library in libraries:
        monkeypatch.setitem(sys.modules, library, None)
    for name in list(sys.modules):
        if name in ("trimcp.http.client.pooled_client", "trimcp.http.client.httpx_client") or name.startswith(
            "trimcp.http.h1."
        ):
            monkeypatch.delitem(sys.modules, name)
            # The package keeps it as well.
            package, _, module = name.rpartition(".")
            monkeypatch.delattr(sys.modules[package], module, raising=False)
