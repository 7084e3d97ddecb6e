"""`server.tree()` counts what there is of each feature."""

import trimcp
from tests.server.providing import Shelf


async def test_a_run_counts_its_tools_resources_and_prompts() -> None:
    server = trimcp.Server("full")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    async with server.running():
        (run,) = server.tree()
        assert (run.tools, run.resources, run.prompts) == (1, 0, 0)
        assert "── resources" not in str(run)
        assert "── prompts" not in str(run)

    server.add_resource("a:1", "")
    server.resource("b:{n}")(_read)
    server.prompt(_greet)
    async with server.running():
        (run,) = server.tree()
        assert (run.tools, run.resources, run.prompts) == (1, 2, 1)
        assert "├── resources  2" in str(run)
        assert "├── prompts  1" in str(run)


async def test_a_run_names_its_providers_in_their_order() -> None:
    server = trimcp.Server("full")
    async with server.running():
        assert "providers" not in str(server.tree()[0])
    server.add_provider(Shelf(name="one"))
    server.add_provider(Shelf(name="two"))
    async with server.running():
        (run,) = server.tree()
        assert run.providers == ("one", "two")
        assert "├── providers  one, two" in str(run)


async def _read(n: int) -> str:
    return str(n)


async def _greet(name: str) -> str:
    return name
