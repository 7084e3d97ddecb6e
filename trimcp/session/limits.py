"""Every bound of a session and a server, in one place, with what happens there."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """The bounds that a server or a client keeps. Sizes are bytes, times are seconds.

    `Server.memory_bound()` computes from them the most that trimcp's own buffers can hold.
    """

    message_bytes: int = 4 * 2**20
    """The longest message read. A longer one is answered with -32600 without being kept."""
    json_depth: int = 128
    """The deepest nesting of a message; deeper is answered with -32700."""
    batch_length: int = 100
    """The most members of a batch (2025-03-26); a longer one is answered with one error."""

    batches: int = 4
    """Batches of one session that are under way at once, each with answers of `result_bytes` in all;
    a further one is answered with one error."""

    session_requests: int = 256
    """Requests of one session that run at once; further ones wait in its list."""
    session_waiting: int = 1024
    """Requests of one session that may wait for a place; further ones are refused as busy."""
    session_request_bytes: int = 16 * 2**20
    """Bytes of the requests of one session that run or wait; beyond, they are refused as busy."""
    server_requests: int = 4096
    """Requests that a server runs at once; free places go round the sessions that wait. Of HTTP requests that an
    `authenticate` function or a route works at, as many more; further ones are refused as busy."""
    sessions: int = 1000
    """Sessions that a server serves at once. At a listener a further connection waits until one has ended;
    any other way it is closed, or refused with `ConnectionClosed`."""

    out_bytes: int = 2**20
    """Bytes that may wait to leave. Beyond, a server stops reading, and callers wait."""
    write_timeout: float = 30.0
    """How long the peer may take no byte of what waits to leave; then the session ends."""
    result_bytes: int = 16 * 2**20
    """The longest answer; a longer one is replaced by an error (-32603)."""
    session_idle: float = 1800.0
    """How long a legacy session over HTTP may have no request in flight and no stream open, before it is ended."""
    detached: float = 300.0
    """How long a request over legacy HTTP may run on after its connection was lost; then it is cancelled."""
    keep_alive: float = 15.0
    """How long an event stream over HTTP may be quiet before a comment keeps it alive; also how often idle
    sessions and detached requests are looked for."""
    stored_events: int = 10_000
    """Events of all legacy sessions over HTTP that are kept for clients that lost a connection; the oldest go."""
    stored_bytes: int = 32 * 2**20
    """The bytes of all of them."""
    stored_age: float = 600.0
    """How long one is kept."""

    log_messages: int = 256
    """Log notifications that may wait to leave; beyond, the oldest are dropped and counted."""

    calls: int = 1024
    """Our own requests that wait for an answer at once; a further caller waits for its turn."""
    progress_rate: float = 50.0
    """Progress notifications a second for each request, in each direction; beyond, the newest replaces."""
    progress_burst: int = 50
    """How many pass at once before the rate applies."""
    progress_backlog: int = 64
    """Reports that a slow progress callback may be behind; beyond, the oldest are dropped."""

    rounds: int = 20
    """Times that one modern request may ask the client for more; then it fails."""
    state_bytes: int = 64 * 2**10
    """The longest `requestState`: answers obtained and steps kept; beyond, the request fails."""

    listens: int = 32
    """`subscriptions/listen` requests of one session in flight (2026-07-28); a further one is refused as busy."""
    server_listens: int = 10_000
    """The same for all sessions of a server together."""
    subscriptions: int = 1024
    """Resources that one session is told the changes of, each listen counted for itself; beyond, refused as busy."""
    uri_bytes: int = 2048
    """The longest URI that may be subscribed to, as it is written in JSON; a longer one is refused."""
    notices: int = 1024
    """Notices that one reader of a client's notices may be behind; beyond, the oldest are dropped and counted.
    Log messages, and notices of extensions, each have as much room of their own."""

    cache_entries: int = 1024
    """Results that a client keeps because the server lets it; beyond, the least recently used go."""
    cache_bytes: int = 16 * 2**20
    """The JSON text of all of them; a longer one is not kept."""

    tool_threads: int = 40
    """Sync tools that run in threads at once, abandoned ones included; further ones wait."""
    cleanup: float = 5.0
    """How long a cancelled handler may shield its cleaning up, before the log says so and `run` gives up on it."""
    grace: float = 10.0
    """How long handlers may go on after end of input, or after a first signal."""
    page: int = 100
    """Items in one page of a list."""
