"""`trimcp install` and `uninstall`: an entry goes in and comes out, and all else in the file stays as it is."""

from __future__ import annotations

import difflib
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.install.files import CODEX, CURSOR, FILES, VSCODE
from tests.programs import ROOT
from trimcp.cli.install import host_file
from trimcp.cli.install.edit import Edit, formats
from trimcp.cli.install.hosts import HOSTS, Host, find_file
from trimcp.errors import UsageError

ADD = ROOT / "examples" / "add.py"
DESKTOP = "claude_desktop_config.json"
ENTRY = ["-m", "trimcp", "run", str(ADD)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any host, and no variables that lead elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "COPILOT_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def with_file(host: Host, text: str | None) -> Path:
    """Have a host with this file, or without one yet."""
    _, places = find_file(host)
    path = places[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        path.write_bytes(text.encode())
    return path


def read(path: Path) -> str:
    return path.read_bytes().decode()


def data_of(host: Host, path: Path) -> Any:
    return formats(host.shape.format).load(host_file.read(path))


def lines_lost(before: str, after: str) -> list[str]:
    """The lines of a text that are not in another one."""
    return [line for line in before.splitlines() if line not in after.splitlines()]


@pytest.mark.parametrize("key", HOSTS)
def test_an_entry_goes_in_and_comes_out(run: Run, key: str) -> None:
    host = HOSTS[key]
    path = with_file(host, FILES[key])
    path.chmod(0o640)
    before = data_of(host, path)
    install = ("install", f"{ADD}:server", "--host", key, "--no-start")
    done = run(*install, "--env", "A=1")
    assert (done.code, done.err) == (0, "")
    after = data_of(host, path)
    entry = after[host.shape.above].pop("add")
    assert {**after, host.shape.above: after[host.shape.above]} == before
    assert entry[host.shape.command] == sys.executable
    assert entry["args"] == [*ENTRY[:-1], f"{ADD}:server"]
    assert entry[host.shape.env] == {"A": "1"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # Of the old lines only the one that got a comma, or lost its empty braces, is another one.
    text = read(path)
    lost = lines_lost(FILES[key], text)
    assert len(lost) <= 1
    assert all(line in ("    }", "\t\t}", '    "mcpServers": {},') or line.endswith("} }") for line in lost), lost
    # Once more changes nothing.
    again = run(*install, "--env", "A=1")
    assert "nothing to change" in again.out
    assert read(path) == text
    # Out again.
    assert run("uninstall", "add", "--host", key).code == 0
    restored = read(path)
    assert data_of(host, path) == before
    if key != "gemini-cli":  # its empty object has two lines now
        assert restored == FILES[key]
    assert "nothing to change" in run("uninstall", "add", "--host", key).out


@pytest.mark.parametrize("form", ["line ends of Windows", "byte order mark", "both"])
@pytest.mark.parametrize("key", HOSTS)
def test_an_edit_only_inserts_bytes_and_its_undoing_only_takes_them_out(run: Run, key: str, form: str) -> None:
    before = FILES[key].replace("\r\n", "\n")
    if form != "byte order mark":
        before = before.replace("\n", "\r\n")
    if form != "line ends of Windows":
        before = "\ufeff" + before
    path = with_file(HOSTS[key], before)
    assert run("install", str(ADD), "--host", key, "--no-start").code == 0
    after = read(path)
    kinds = {kind for kind, *_ in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()}
    assert kinds == {"equal", "insert"}
    assert "\r\n" not in before or "\n" not in after.replace("\r\n", "")
    assert run("uninstall", "add", "--host", key).code == 0
    if key != "gemini-cli":  # its empty object has two lines now
        assert read(path) == before


def test_an_entry_for_one_project_goes_into_the_users_file(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, below = home / "notes", home / "notes" / "src"
    below.mkdir(parents=True)
    before = FILES["claude-code"].replace("/home/ada/notes", str(known))
    path = with_file(HOSTS["claude-code"], before)
    local = ("--host", "claude-code", "--local")
    for folder, project in ((below, known), (home, home)):
        monkeypatch.chdir(folder)
        assert run("install", str(ADD), *local, "--no-start").code == 0
        data = data_of(HOSTS["claude-code"], path)
        assert data["projects"][str(project)]["mcpServers"]["add"]["args"] == ENTRY
        assert "add" not in data["mcpServers"]
        assert "nothing to change" in run("install", str(ADD), *local, "--no-start").out
    assert set(data["projects"][str(known)]["mcpServers"]) == {"local", "add"}
    monkeypatch.chdir(below)
    assert run("uninstall", "add", *local).code == 0
    of_known = formats("jsonc").load(before)["projects"][str(known)]
    assert data_of(HOSTS["claude-code"], path)["projects"][str(known)] == of_known
    for options, problem in (
        (("--host", "cursor", "--local"), "Cursor has no entries by project"),
        ((*local, "--project"), "--project and --local are two places"),
    ):
        done = run("install", str(ADD), *options, "--no-start")
        assert (done.code, problem in done.err) == (2, True)


def test_a_read_only_file_is_left_alone(run: Run) -> None:
    path = with_file(HOSTS["cursor"], CURSOR)
    path.chmod(0o444)
    done = run("install", str(ADD), "--host", "cursor", "--no-start")
    assert (done.code, read(path)) == (2, CURSOR)
    assert "mcp.json is read-only: make it writable" in done.err
    assert os.listdir(path.parent) == ["mcp.json"]


@pytest.mark.parametrize("key", HOSTS)
def test_a_host_that_is_there_gets_a_file_and_one_that_is_not_gets_none(run: Run, key: str, home: Path) -> None:
    done = run("install", str(ADD), "--host", key, "--no-start")
    assert done.code == 2
    assert "is not on this computer" in done.err
    assert list(home.iterdir()) == []
    path = with_file(HOSTS[key], None)
    if HOSTS[key].signs:
        (home / ".claude").mkdir()
    assert run("install", str(ADD), "--host", key, "--no-start").code == 0
    assert data_of(HOSTS[key], path)[HOSTS[key].shape.above]["add"]["args"] == ENTRY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("key", [key for key in HOSTS if HOSTS[key].shape.url is not None])
def test_a_server_at_a_url(run: Run, key: str) -> None:
    host = HOSTS[key]
    path = with_file(host, FILES[key])
    done = run(
        "install", "https://notes.example/mcp", "--name", "n", "--host", key, "--no-start", "--header", "X-A: b c"
    )
    assert done.code == 0
    entry = data_of(host, path)[host.shape.above]["n"]
    assert entry[host.shape.url] == "https://notes.example/mcp"
    assert entry[host.shape.headers] == {"X-A": "b c"}
    assert host.shape.command not in entry


@pytest.mark.parametrize("key", HOSTS)
def test_secrets_stay_out_of_the_file_where_the_host_can_get_them(
    run: Run, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "very secret")
    host = HOSTS[key]
    path = with_file(host, FILES[key])
    done = run("install", str(ADD), "--host", key, "--secret", "TOKEN", "--no-start")
    assert "very secret" not in read(path)
    if not host.shape.has_secrets:
        assert done.code == 2
        assert "use --env TOKEN=VALUE" in done.err
        assert read(path) == FILES[key]
        return
    entry = data_of(host, path)[host.shape.above]["add"]
    if host.shape.names is not None:
        assert entry[host.shape.names] == ["TOKEN"]
    else:
        assert "TOKEN" in entry["env"]["TOKEN"]
        assert entry["env"]["TOKEN"].startswith("${")


def test_vscode_asks_for_secrets_and_forgets_the_question(run: Run) -> None:
    path = with_file(HOSTS["vscode"], VSCODE)
    run("install", str(ADD), "--host", "vscode", "--secret", "TOKEN", "--no-start")
    ids = [question["id"] for question in data_of(HOSTS["vscode"], path)["inputs"]]
    assert ids == ["perplexity-key", "TOKEN"]
    run("uninstall", "add", "--host", "vscode")
    assert read(path) == VSCODE


def test_members_that_the_user_has_added_stay(run: Run) -> None:
    path = with_file(HOSTS["cursor"], CURSOR)
    run("install", str(ADD), "--host", "cursor", "--no-start", "--env", "A=1")
    text = read(path).replace(f'"{ADD}"]', f'"{ADD}"], // mine\n\t\t\t"disabled": true')
    path.write_text(text.replace('"A": "1"', '"A": "1", "MORE": "2"').replace(sys.executable, "/old/python"))
    assert run("install", str(ADD), "--host", "cursor", "--no-start", "--env", "A=3").code == 0
    entry = data_of(HOSTS["cursor"], path)["mcpServers"]["add"]
    assert entry == {"command": sys.executable, "args": ENTRY, "disabled": True, "env": {"A": "3", "MORE": "2"}}
    assert "// mine" in read(path)


def test_another_server_of_the_same_name_is_replaced_only_on_demand(run: Run) -> None:
    path = with_file(HOSTS["cursor"], CURSOR)
    done = run("install", str(ADD), "--name", "postgres", "--host", "cursor", "--no-start")
    assert (done.code, read(path)) == (2, CURSOR)
    assert "there is another server postgres: choose a --name, or give --replace" in done.err
    done = run("install", "http://127.0.0.1:1/mcp", "--name", "postgres", "--host", "cursor", "--no-start", "--replace")
    assert data_of(HOSTS["cursor"], path)["mcpServers"]["postgres"] == {"url": "http://127.0.0.1:1/mcp"}


def test_a_dry_run_shows_a_diff_and_print_the_entry(run: Run) -> None:
    path = with_file(HOSTS["codex"], CODEX)
    done = run("install", str(ADD), "--host", "codex", "--dry-run")
    assert "+[mcp_servers.add]" in done.out.splitlines()
    assert not [line for line in done.out.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert read(path) == CODEX
    printed = run("install", str(ADD), "--print")
    assert printed.json == {"mcpServers": {"add": {"command": sys.executable, "args": ENTRY}}}
    assert run("install", str(ADD), "--print", "--host", "goose").out.startswith("extensions:\n  add:\n")
    assert os.listdir(path.parent) == ["config.toml"]
    assert "-[mcp_servers.context7]" in run("uninstall", "context7", "--host", "codex", "--dry-run").out.splitlines()


def test_a_link_stays_a_link_and_a_backup_is_kept(run: Run, home: Path) -> None:
    real = home / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text(CURSOR)
    link = with_file(HOSTS["cursor"], None)
    link.symlink_to(real)
    assert run("install", str(ADD), "--host", "cursor", "--no-start").code == 0
    assert link.is_symlink()
    assert "trimcp" in real.read_text()
    backups = [path for path in real.parent.iterdir() if path.name.endswith(".bak")]
    assert [path.read_text() for path in backups] == [CURSOR]


def test_only_the_newest_backups_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_file(HOSTS["cursor"], CURSOR)
    for number in range(8):
        monkeypatch.setattr("time.strftime", lambda form, number=number: f"20260101T00000{number}")
        run("install", str(ADD), "--host", "cursor", "--no-start", "--env", f"A={number}")
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == ["mcp.json", *(f"mcp.json.20260101T00000{number}.bak" for number in range(3, 8))]


def test_a_file_that_another_program_changes_meanwhile_is_not_written(home: Path) -> None:
    path = home / "mcp.json"
    path.write_text('{"mcpServers": {}}')
    edit = Edit("{}", '{"mcpServers": {"a": {}}}')
    with pytest.raises(UsageError, match="was changed by another program"):
        host_file.write(path, edit)
    assert [each.name for each in home.iterdir()] == ["mcp.json"]


def test_a_write_that_fails_leaves_the_file_and_nothing_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "mcp.json"
    path.write_text("{}")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        host_file.write(path, Edit("{}", '{"a": 1}'))
    assert path.read_text() == "{}"
    assert [each.name for each in home.iterdir() if not each.name.endswith(".bak")] == ["mcp.json"]


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("cursor", '{"mcpServers": {', "line 1, column 17: expected a string"),
        ("cursor", '{"mcpServers": []}', "mcpServers is not an object"),
        ("codex", "[mcp_servers", "Expected ']'"),
        ("codex", 'mcp_servers = "no"', "mcp_servers is not an object"),
        ("goose", "extensions: [", "while parsing"),
        ("goose", "extensions: 7", "extensions is not an object"),
        ("cursor", "\udcff", "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_stays_as_it_is(run: Run, key: str, text: str, problem: str) -> None:
    path = with_file(HOSTS[key], None)
    path.write_bytes(text.encode(errors="surrogateescape"))
    done = run("install", str(ADD), "--host", key, "--no-start")
    assert done.code == 2
    assert problem in done.err
    assert str(path) in done.err
    assert path.read_bytes() == text.encode(errors="surrogateescape")
    assert len(list(path.parent.iterdir())) == 1


def test_toml_that_has_servers_in_other_ways_is_edited_too(run: Run) -> None:
    path = with_file(HOSTS["codex"], 'mcp_servers = { a = { command = "a" } } # inline\n')
    assert run("install", str(ADD), "--host", "codex", "--no-start").code == 0
    assert set(data_of(HOSTS["codex"], path)["mcp_servers"]) == {"a", "add"}
    assert "# inline" in read(path)
    assert run("uninstall", "a", "--host", "codex").code == 0
    assert set(data_of(HOSTS["codex"], path)["mcp_servers"]) == {"add"}


def test_files_of_projects_and_files_by_path(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert run("install", str(ADD), "--host", "vscode", "--project", "--no-start").code == 0
    assert '"type": "stdio"' in (home / ".vscode" / "mcp.json").read_text()
    assert run("install", str(ADD), "--host", "cline", "--project", "--no-start").code == 2
    assert run("install", str(ADD), "--host", "cursor", "--config-path", "some.json", "--no-start").code == 0
    assert (home / "some.json").exists()
    assert run("install", str(ADD), "--host", "cursor", "--config-path", "no/some.json", "--no-start").code == 2
    assert not (home / "no").exists()


def test_the_server_is_started_as_the_host_would(run: Run, home: Path) -> None:
    with_file(HOSTS["cursor"], None)
    done = run("install", str(ADD), "--host", "cursor", "--env", f"PYTHONPATH={ROOT}")
    assert done.code == 0
    assert "started as the host would: add 0 answers, in revision 2026-07-28, with 1 tool" in done.out
    # It needs a module that only the working directory of the user has.
    (home / "broken.py").write_text('import trimcp, not_there\nserver = trimcp.Server("broken")\n')
    done = run("install", str(home / "broken.py"), "--host", "cursor", "--env", f"PYTHONPATH={ROOT}")
    assert done.code == 1
    assert "it does not work" in done.err
    assert "No module named 'not_there'" in done.err
    assert "broken is now in" in done.out


WINDOWS = {"APPDATA": "{home}/R", "USERPROFILE": "{home}"}


@pytest.mark.parametrize(
    ("system", "environment", "key", "place"),
    [
        (
            "windows",
            WINDOWS,
            "claude-desktop",
            f"R/Claude/{DESKTOP}",
        ),
        ("windows", WINDOWS, "zed", "R/Zed/settings.json"),
        ("windows", WINDOWS, "goose", "R/Block/goose/config/config.yaml"),
        (
            "macos",
            {"HOME": "{home}"},
            "claude-desktop",
            f"Library/Application Support/Claude/{DESKTOP}",
        ),
        ("macos", {"HOME": "{home}"}, "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("macos", {"HOME": "{home}"}, "zed", ".config/zed/settings.json"),
        (
            "linux",
            {"HOME": "{home}", "XDG_CONFIG_HOME": "{home}/x"},
            "claude-desktop",
            f"x/Claude/{DESKTOP}",
        ),
        ("linux", {"HOME": "{home}", "CODEX_HOME": "{home}/c"}, "codex", "c/config.toml"),
        ("linux", {"HOME": "{home}", "COPILOT_HOME": "{home}/c"}, "copilot-cli", "c/mcp-config.json"),
    ],
)
def test_where_the_files_are(home: Path, system: Any, environment: dict[str, str], key: str, place: str) -> None:
    variables = {name: value.format(home=home) for name, value in environment.items()}
    assert find_file(HOSTS[key], system=system, environment=variables)[0] is None
    (home / place).parent.mkdir(parents=True)
    assert find_file(HOSTS[key], system=system, environment=variables)[0] == home / place


def test_claude_desktop_from_the_store_of_windows_is_found(home: Path) -> None:
    folder = home / "L" / "Packages" / "AnthropicClaude_x1" / "LocalCache" / "Roaming" / "Claude"
    folder.mkdir(parents=True)
    variables = {"LOCALAPPDATA": f"{home}/L", "APPDATA": f"{home}/R", "USERPROFILE": str(home)}
    found, _ = find_file(HOSTS["claude-desktop"], system="windows", environment=variables)
    assert found == folder / DESKTOP


def test_the_hosts_are_listed(run: Run) -> None:
    path = with_file(HOSTS["zed"], FILES["zed"])
    done = run("install", "--hosts")
    assert str(path) in done.out
    assert all(host.title in done.out for host in HOSTS.values())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["install"], "no TARGET is given"),
        (["install", str(ADD)], "no host is given"),
        (["install", str(ADD), "--host", "cursr"], "there is no host cursr; did you mean cursor?"),
        (["install", "no.py", "--host", "cursor"], "there is no file no.py"),
        (["install", str(ROOT / "README.md"), "--host", "cursor"], "is not a Python file"),
        (["install", "ws://h/", "--host", "cursor"], "hosts take only http and https"),
        (["install", "http://h/", "--host", "cursor", "--env", "A=b"], "--env and --secret are for a server"),
        (["install", str(ADD), "--host", "cursor", "--header", "A: b"], "--header is for a server at a URL"),
        (["install", str(ADD), "--host", "cursor", "--env", "secret"], "--env takes NAME=VALUE"),
        (["uninstall"], "no NAME is given"),
    ],
)
def test_wrong_use_is_explained(run: Run, arguments: list[str], problem: str) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert problem in done.err
