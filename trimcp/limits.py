"""Holds the bounds of sessions, servers and clients, and says what happens at each."""

from __future__ import annotations

import attrs

from trimcp.values import FrozenValue


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Limits(FrozenValue):
    """The bounds of a server or a client. Sizes are in bytes, times in seconds.

    `Server.memory_bound()` computes how much trimcp's own buffers can hold with them.
    """

    message_bytes: int = 4 * 2**20
    """The longest message that is read. A longer one is answered with -32600 and not kept."""
    json_depth: int = 128
    """The deepest nesting of a message. A deeper one is answered with -32700."""
    json_containers: int = 2**18
    """The most arrays and objects in a message. One with more is answered with -32700. Their number, rather than the
    length of a message, decides how long the parser holds up all sessions: about 50 ms for these."""
    batch_length: int = 100
    """The most members of a batch (2025-03-26). A longer batch is answered with one error."""

    batches: int = 4
    """Batches of one session that are in work at once; the answers of each may have `result_bytes` in all. A further
    batch is answered with one error."""

    session_requests: int = 256
    """Requests of one session that run at once. Further requests wait."""
    session_waiting: int = 1024
    """Requests of one session that may wait. Further requests are refused as busy."""
    session_request_bytes: int = 16 * 2**20
    """Bytes of the requests of one session that run or wait. Further requests are refused as busy."""
    server_requests: int = 4096
    """Requests that a server runs at once. Free places go to the waiting sessions in turn. The same number of HTTP
    requests may be in an `authenticate` function or a route; further ones are refused as busy."""
    sessions: int = 1000
    """Sessions that a server has at once. A further connection of a listener waits until a session ends; other
    connections are closed, or refused with `ConnectionClosed`."""
    sender_sessions: int = 100
    """The same for one sender, so that no sender takes all of them: a principal, else an IP address (of IPv6, the
    first 64 bits). Loopback, Unix sockets and `proxies` do not count as senders."""
    shared_sender_sessions: int | None = None
    """Legacy sessions over HTTP of one principal, on all nodes that share a store. None: each node counts alone, by
    `sender_sessions`, as all do while the store is down."""
    proxies: tuple[str, ...] = ()
    """IP addresses and networks, such as `10.0.0.0/8`, of the proxies that bring clients to a server. What they send
    in header fields such as `X-Forwarded-For` is not read."""

    out_bytes: int = 2**20
    """Bytes that may wait to be sent. Beyond it a server stops reading, and callers wait."""
    write_timeout: float = 30.0
    """How long a peer may accept no byte while bytes wait to be sent. Then the session ends."""
    result_bytes: int = 16 * 2**20
    """The longest answer. A longer one is replaced by an error (-32603)."""
    session_idle: float = 1800.0
    """How long a legacy HTTP session may have no request and no open stream. Then it is ended."""
    detached: float = 300.0
    """How long a legacy HTTP request may run after its connection was lost. Then it is cancelled."""
    keep_alive: float = 15.0
    """How long an event stream over HTTP may be quiet before a comment is sent. Idle sessions and requests without a
    connection are looked for as often."""
    stored_events: int = 10_000
    """Events of all legacy HTTP sessions that are kept for clients that lost a connection. Beyond it the oldest are
    removed."""
    stored_bytes: int = 32 * 2**20
    """The bytes of all these events."""
    stored_age: float = 600.0
    """How long an event is kept."""

    log_messages: int = 256
    """Log notifications that may wait to be sent. Beyond it the oldest are dropped and counted."""

    calls: int = 1024
    """Requests of this side that wait for an answer at once. A further caller waits."""
    progress_rate: float = 50.0
    """Progress notifications a second for each request and direction. Beyond it only the newest is kept."""
    progress_burst: int = 50
    """How many progress notifications pass at once before the rate applies."""
    progress_backlog: int = 64
    """Reports that may wait for a slow progress callback. Beyond it the oldest are dropped."""

    rounds: int = 20
    """How often one modern request may ask the client. Then it fails."""
    state_bytes: int = 64 * 2**10
    """The longest `requestState`, which holds answers and steps. Beyond it the request fails."""

    listens: int = 32
    """`subscriptions/listen` requests of one session in flight (2026-07-28). A further one is refused as busy."""
    server_listens: int = 10_000
    """The same for all sessions of a server together."""
    subscriptions: int = 1024
    """Resources that one session subscribes to, counted for each listen. Beyond it a request is refused as busy."""
    uri_bytes: int = 2048
    """The longest URI that can be subscribed to, as JSON. A longer one is refused."""
    notices: int = 1024
    """Notices that may wait for one reader of a client's notices. Beyond it the oldest are dropped and counted. Log
    messages have the same room of their own, and so have notices of extensions."""

    cache_entries: int = 1024
    """Results that a client keeps. Beyond it those that were not used for the longest time are removed."""
    cache_bytes: int = 16 * 2**20
    """The JSON text of all kept results. A longer result is not kept."""

    tasks: int = 100
    """Tasks of one principal that a server keeps, finished ones included. A further one is refused as busy."""
    anonymous_tasks: int = 1000
    """The same for all clients without a principal together."""
    kept_tasks: int = 10_000
    """Tasks that a process has begun and that are kept. A further one is refused as busy."""
    running_tasks: int = 1000
    """Tasks that a process runs at once. A further one is refused as busy."""
    task_bytes: int = 2**20
    """The longest params, and the longest result, of a task. A call with longer params is refused; a longer result is
    replaced by an error (-32603)."""
    task_ttl: float = 3600.0
    """How long a task is kept after its creation, if the client names no time. A task that works longer is kept
    longer, and says so."""
    task_ttl_most: float = 86400.0
    """The longest such time that a client may name. A longer one is shortened."""
    task_poll: float = 1.0
    """How often clients should ask for the state of a task."""
    task_polls: float = 20.0
    """Requests about tasks a second that one principal, or one connection without a principal, may send; five times
    as many pass at once. A further one is refused as busy. A listen counts once for each of its tasks."""
    task_after: float = 0.5
    """How long a tool with `task=` may run in 2026-07-28 before its call becomes a task."""

    tool_threads: int = 40
    """Sync functions that run in threads at once, abandoned ones included. Further calls wait."""
    cleanup: float = 5.0
    """How long a cancelled handler may clean up. Then the log says so, and `run` does not wait for it."""
    drain_delay: float = 0.0
    """How long a server that is told to stop says that it is not ready, and serves on, before it drains."""
    grace: float = 10.0
    """How long handlers may go on after the end of input, or after a first signal."""
    page: int = 100
    """Items in one page of a list."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HttpLimits(FrozenValue):
    """The bounds of the built-in HTTP server. Sizes are in bytes, times in seconds.

    Times are checked once a second, so each may last up to one second longer.
    """

    head_bytes: int = 16 * 2**10
    """The longest head: request line, names and values. A longer one is answered with 431. The trailers of a chunked
    body may be as long."""
    head_fields: int = 100
    """The most header fields. More are answered with 431."""
    head_timeout: float = 10.0
    """How long a head may take from its first byte. Then it is answered with 408."""
    body_idle_timeout: float = 30.0
    """How long a body may make no progress. Then it is answered with 408."""
    body_timeout: float = 300.0
    """How long a body may take in all. Then it is answered with 408."""
    refused_body: int = 64 * 2**10
    """How much of the body of a refused request is read and dropped, to keep the connection. With a longer body the
    connection is closed."""
    keep_alive: float = 75.0
    """How long a connection may have no request. Then it is closed."""
    write_timeout: float = 30.0
    """How long a peer may accept less than 8 KiB while bytes wait to be sent. Then the connection is closed."""
    linger: float = 2.0
    """How long the peer may go on sending after a response that ends the connection. Closing at once could destroy
    the response on its way."""
    linger_bytes: int = 2**20
    """How much the peer may send in this time."""
    connections: int = 16384
    """Connections of one listener at once. Further connections wait until they are accepted."""
