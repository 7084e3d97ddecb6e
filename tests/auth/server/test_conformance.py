"""The development authorization server passes the official suite's scenarios for authorization servers."""

from __future__ import annotations

import subprocess
from functools import partial

import httpx2
import pytest
import trio

from tests import node
from tests.conformance.suite import PACKAGE
from tests.ports import free_port
from trimcp.auth.testing import DevelopmentAuthorizationServer, DevelopmentClient

PATIENCE = 60.0


@pytest.mark.interop
async def test_every_scenario_passes() -> None:
    try:
        program, _ = node.node_and_npm()
        suite = [program, str(node.installed(*PACKAGE) / "dist" / "index.js")]
    except node.Unavailable as exc:
        pytest.skip(str(exc))
    port = free_port()
    client = DevelopmentClient(client_id="suite", redirect_uris=[f"http://127.0.0.1:{port}/callback"])
    server = DevelopmentAuthorizationServer(clients=[client])
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            issuer = await nursery.start(server.serve)
            options = ["--url", issuer, "--client-id", "suite", "--port", str(port), "--resource", "https://x.example"]
            command = [*suite, "authorization", *options]
            start = partial(trio.run_process, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            process = await nursery.start(start)
            output = b""
            assert process.stdout is not None
            async for piece in process.stdout:
                output += piece
                if b"Waiting up to" in output and b"code_challenge=" in output:
                    break
            url = next(line for line in output.decode().split() if line.startswith(f"{issuer}/authorize"))
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                assert (await browser.get(url)).status_code == 200
            async for piece in process.stdout:
                output += piece
            assert await process.wait() == 0, output.decode()
            nursery.cancel_scope.cancel()
    assert b"Total: 3 passed, 0 failed" in output, output.decode()
