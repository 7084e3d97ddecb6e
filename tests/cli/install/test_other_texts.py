"""The editors of YAML and TOML: an entry goes in and out, and no other line changes."""

from __future__ import annotations

import pytest

from trimcp.cli.install import toml_text, yaml_text
from trimcp.cli.install.edit import TextFormat
from trimcp.cli.install.jsonc_tree import InvalidText

ENTRY = {"cmd": "py", "args": ["-m", "a b"], "envs": {"A": "1: no", "B": "yes"}}

YAML = {
    "four spaces, in a document": "---\n# hi\nextensions:\n    a:\n        enabled: true\n...\n",
    "line ends of Windows": "a: 1\r\nextensions:\r\n  x:\r\n    args:\r\n    - q\r\n# end\r\n",
    "quoted names": "\"extensions\":\n  'x': {a: 1}\nz: |\n  extensions:\n    not: this\n",
    "a text that looks the same before": "note: |\n  extensions:\n    a: b\nextensions:\n  x: {a: 1}\n",
    "anchors": "base: &b\n  enabled: true\nextensions:\n  x:\n    <<: *b\n    cmd: q\n",
    "a folded text at the end": "extensions:\n  x:\n    text: >\n      long\n\n      text\n\n# tail\n",
    "a comment between": "extensions:\n  # one\n  x: {a: 1}\n  # two\n\n  y: {a: 2}\n  # three\nb: 1\n",
}
TOML = {
    "arrays of tables": "[[x]]\na=1\n\n[[x]]\na=2\n",
    "dotted names": "extensions.a.command = 'x' # c\n[other]\nz=1\n",
    "line ends of Windows": "[extensions.a]\r\ncommand='x'\r\n# end\r\n",
    "a heading of the whole": "[extensions]\n\n[extensions.a]\ncommand='x'\n\n[z]\n",
}


@pytest.mark.parametrize(
    ("form", "text"),
    [*((yaml_text, text) for text in YAML.values()), *((toml_text, text) for text in TOML.values())],
    ids=[*YAML, *TOML],
)
def test_an_entry_goes_in_and_out_without_a_trace(form: TextFormat, text: str) -> None:
    path = ["extensions", "new"]
    edited = form.put(text, path, ENTRY)
    assert form.load(edited)["extensions"]["new"] == ENTRY
    rest = iter(edited.splitlines(keepends=True))
    assert all(line in rest for line in text.splitlines(keepends=True))
    assert form.remove(edited, path) == text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (yaml_text, "extensions: {x: {a: 1}} # flow\nb: 2\n"),
        (yaml_text, "extensions: # none\nb: 2\n"),
        (yaml_text, "extensions:\n  x: {a: 1}   # last"),
        (yaml_text, "# only this\n"),
        (toml_text, "extensions = { x = { a = 1 } } # inline\n"),
        (toml_text, "x = '''\n[extensions.new]\n'''"),
    ],
)
def test_other_ways_to_write_keep_their_data_and_comments(form: TextFormat, text: str) -> None:
    path = ["extensions", "new"]
    before = form.load(text)
    edited = form.put(text, path, ENTRY)
    after = form.load(edited)
    assert after["extensions"].pop("new") == ENTRY
    assert {name: value for name, value in after.items() if value} == {
        name: value for name, value in before.items() if value
    }
    comment = text.partition("#")[2].strip().partition("\n")[0]
    assert comment in edited
    removed = form.remove(edited, path)
    assert not form.load(removed).get("extensions", {}).get("new")
    assert comment in removed


def test_a_member_changes_in_place() -> None:
    text = YAML["a comment between"]
    edited = yaml_text.put(text, ["extensions", "y", "a"], 3)
    assert edited == text.replace("{a: 2}", "{a: 3}")
    text = "[extensions.a]\ncommand = 'x'   # why\n"
    assert toml_text.put(text, ["extensions", "a", "command"], "y") == text.replace("'x'", '"y"')


@pytest.mark.parametrize(("form", "text"), [(yaml_text, "extensions: 1\n"), (toml_text, "extensions = 1\n")])
def test_a_value_in_the_way_is_refused(form: TextFormat, text: str) -> None:
    with pytest.raises(InvalidText, match="extensions is not an object"):
        form.put(text, ["extensions", "new"], ENTRY)
