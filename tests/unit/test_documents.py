"""What the README and the documentation tell people to type exists, and the pages build."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    (page.name, line.split("#")[0].strip())
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def check(line: str) -> None:
    """Parse a command line with the real options, without running it."""
    command: click.Command = cli.cli
    context = click.Context(command)
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"no command {name!r} in {line!r}"
        command = found
        context = click.Context(command, parent=context, info_name=name)
    command.make_context(context.info_name, words)


@pytest.mark.parametrize(
    ("page", "line"), [(p, c) for p, c in dict.fromkeys(COMMANDS) if c.startswith("personarec ")]
)
def test_commands_parse(page: str, line: str) -> None:
    check(line)


@pytest.mark.parametrize("line", ["personarec kg nothing", "personarec train --datset demo"])
def test_a_wrong_command_would_be_seen(line: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        check(line)


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    asked = set(re.findall(r"make (\w+)", README))
    assert {"demo", "test"} <= asked <= targets


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_the_pages_build_without_a_warning_and_name_no_foreign_host(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    fetched = re.compile(r"""<(?:script|img|link)[^>]*(?:src|href)=["']?(https?:[^"' >]+)""")
    found = {u for p in tmp_path.rglob("*.html") for u in fetched.findall(p.read_text("utf-8"))}
    assert found == set()
    schema = (tmp_path / "schema" / "index.html").read_text("utf-8")
    assert "RATED" in schema
    assert "{{" not in schema
