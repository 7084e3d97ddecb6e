"""Measures trimcp beside its parent commit, floors, and other SDKs. Run each from the root of the checkout:

    python -m benchmarks.stdio             a process on stdio: cold starts, warm rates, CPU for each call
    python -m benchmarks.loads             a process on stdio, closed and open loads by two drivers
    python -m benchmarks.work              kinds of work on stdio: 1 MiB, progress, structured results, arguments
    python -m benchmarks.http              a process on HTTP
    python -m benchmarks.http_work         1 MiB and progress over event streams
    python -m benchmarks.http_connections  many new connections at once
    python -m benchmarks.http_sessions     sessions with GET streams, and a client that stops reading
    python -m benchmarks.http_ends         clients that go away, and a server that stops
    python -m benchmarks.http_client       clients over HTTP
    python -m benchmarks.sessions          1 to 10,000 sessions on a Unix socket
    python -m benchmarks.stores            stores: rows a second, and calls of a server with each of them
    python -m benchmarks.memory            a client and a server in one process
    python -m benchmarks.startup           imports, and the time to the first answer
    python -m benchmarks.codec             microseconds for each step of reading and writing a call
    python -m benchmarks.path              where the microseconds of a request go
    python -m benchmarks.large_payloads    microseconds for arguments and results with many objects, or of a megabyte

None needs more than trimcp. Other SDKs are named by options (see `contestants`); `--parent PATH` names a checkout of
another commit. Programs are measured in turns, in one run, and given as medians: a figure of one day and machine says
little, a ratio says more. docs/benchmarks.md has the last ones.
"""
