"""The scenarios of authorization: a person who agrees at once, and the programs that need none."""

from __future__ import annotations

from typing import Any

import httpx2
from clientele import Visit

from trimcp import auth

METADATA = "https://conformance-test.local/client-metadata.json"


async def agree(url: str) -> str:
    """Do what a browser and a person who agrees do: return where the authorization server redirects to."""
    async with httpx2.AsyncClient() as browser:
        return (await browser.get(url)).headers["location"]


async def call_the_tool(visit: Visit, hook: Any) -> None:
    """List the tools, and call the one that all these scenarios have."""
    async with visit.connected(auth=hook) as client:
        await client.list_tools()
        await client.call_tool("test-tool", {})


async def sign_in(visit: Visit, **options: Any) -> None:
    """Sign a person in."""
    context = visit.context
    await call_the_tool(
        visit,
        auth.OAuth(
            client_name="everything",
            client_metadata_url=METADATA,
            client_id=context.get("client_id"),
            client_secret=context.get("client_secret"),
            redirect="http://localhost:3000/callback",
            read_callback=agree,
            **options,
        ),
    )


async def sign_in_with_dpop(visit: Visit) -> None:
    """Sign a person in, with tokens bound to a key."""
    await sign_in(visit, dpop=True)


async def use_secret(visit: Visit) -> None:
    """Get a token by a secret."""
    await call_the_tool(visit, auth.ClientCredentials(visit.context["client_id"], visit.context["client_secret"]))


async def use_key(visit: Visit) -> None:
    """Get a token by a signature."""
    context = visit.context
    key = auth.PrivateKeyJwt(
        context["client_id"], context["private_key_pem"], algorithm=context.get("signing_algorithm", "ES256")
    )
    await call_the_tool(visit, key)


async def use_workload(visit: Visit) -> None:
    """Get a token by an assertion of the platform."""

    async def assertion(audience: str) -> str:
        return str(visit.context["valid_jwt"])

    await call_the_tool(visit, auth.WorkloadIdentity(assertion, client_id=visit.context["client_id"]))


async def use_enterprise(visit: Visit) -> None:
    """Get a token by the enterprise's sign-on."""
    context = visit.context

    async def id_token() -> str:
        return str(context["idp_id_token"])

    provider = auth.IdentityProvider(
        token_endpoint=context["idp_token_endpoint"], client_id=context["idp_client_id"], client_secret=None
    )
    await call_the_tool(
        visit,
        auth.EnterpriseManaged(
            context["client_id"], context["client_secret"], identity_provider=provider, subject_token=id_token
        ),
    )


UNATTENDED = {
    "auth/client-credentials-basic": use_secret,
    "auth/client-credentials-jwt": use_key,
    "auth/wif-jwt-bearer": use_workload,
    "auth/enterprise-managed-authorization": use_enterprise,
    "auth/dpop": sign_in_with_dpop,
    "auth/dpop-nonce": sign_in_with_dpop,
}
