"""What the README tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
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


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("personarec ")])
def test_commands_parse(line: str) -> None:
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
