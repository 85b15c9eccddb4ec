"""Every `halluc-ray` command that a page shows is one that the command line takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from halluc_ray.cli.app import app

UsageError = typer.BadParameter.__base__  # of the parser that typer brings along
ROOT = Path(__file__).parents[3]
PAGES = [
    path for path in sorted(ROOT.rglob("*.md")) if not {".venv", "build", "out"} & set(path.relative_to(ROOT).parts)
]


def shown(page: Path) -> Iterator[str]:
    """Lines of the page's shell blocks that call `halluc-ray`; continued ones in one piece."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(\w+=\S+ )*halluc-ray ", line):
                yield line


COMMANDS = [(page.relative_to(ROOT).as_posix(), line.strip()) for page in PAGES for line in shown(page)]


def test_pages_show_commands() -> None:
    assert len(COMMANDS) > 25
    assert {page for page, _ in COMMANDS} >= {"README.md", "docs/operations.md", "docs/nightly.md", "docs/cli.md"}


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_documented_command_is_taken(page: str, line: str) -> None:
    taken(line)


@pytest.mark.parametrize("line", ["halluc-ray runn x.yaml", "halluc-ray run", "halluc-ray run x.yaml --seet a=b"])
def test_what_is_no_command_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        taken(line)


def taken(line: str) -> None:
    """Parse a line as the command line does, and run nothing."""
    words = shlex.split(line.partition(" > ")[0].partition(" | ")[0], comments=True)
    words = words[words.index("halluc-ray") + 1 :]
    group = typer.main.get_command(app)
    if words[0].startswith("-"):
        assert words[0] in {option for parameter in group.params for option in parameter.opts} | {"--help"}
        return
    context = group.make_context("halluc-ray", list(words))
    name, command, rest = group.resolve_command(context, words)
    command.make_context(name, list(rest), parent=context)
