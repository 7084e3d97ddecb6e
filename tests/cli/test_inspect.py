"""`trimcp inspect`: a server described as Markdown and as JSON."""

from __future__ import annotations

from tests.cli.conftest import Run


def test_markdown_names_all_that_the_server_offers(run: Run, shop: str) -> None:
    done = run("inspect", shop)
    assert done.code == 0
    assert done.out.startswith(
        "# The Shop\n\n- Server: shop 1.2\n- Revision: 2026-07-28\n- Capabilities: tools (listChan"
    )
    assert "\n## Instructions\n\nBe kind.\n" in done.out
    assert "\n### `place`\n\nPlace an order.\n\n| Argument | Type | Required | Default | Description |\n" in done.out
    # A pipe in a cell does not end it.
    assert '| `order` | `{bread: "rye" \\| "spelt", loaves?: integer}` | yes |  | what is wanted. |' in done.out
    assert "| `ratio` | `number` |  | `0.5` |  |" in done.out
    listed = run("list", shop, "--json").json
    for member, key in (
        ("tools", "name"),
        ("prompts", "name"),
        ("resources", "uri"),
        ("resourceTemplates", "uriTemplate"),
    ):
        assert listed[member]
        assert all(f"### `{item[key]}`" in done.out for item in listed[member])


def test_json_has_the_lists_and_the_capabilities(run: Run, shop: str) -> None:
    described, listed = run("inspect", shop, "--json").json, run("list", shop, "--json").json
    assert {name: value for name, value in described.items() if name != "capabilities"} == listed
    assert described["capabilities"]["tools"] == {"listChanged": True}


def test_more_words_are_refused(run: Run, shop: str) -> None:
    done = run("inspect", shop, "tools")
    assert done.code == 2
    assert "inspect takes only a TARGET: remove tools" in done.err
