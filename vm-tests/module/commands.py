"""The `tenon` commands in blocks of the pages for administrators are run by a scenario, with their options, or by a test that
runs the `sh` blocks of the page."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from .outcome import Failed
from .places import HARNESS, REPOSITORY

ADMIN = REPOSITORY / "docs" / "admin"
BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?<![\w./-])tenon (?![-\w]+\.(?:service|target|timer|socket))[^\n\"'`|;&#)]+")
SUBCOMMAND = re.compile(r"[a-z][a-z-]*")

WHOLE = {"debian.md", "jobs.md", "maintenance.md", "observability.md", "tour.md"}
"""Pages that are run as they stand there: the first by its scenario, of the others the `sh` blocks by tests of the program."""

GROUPS = {"backup", "config", "jobs", "maintenance", "queue", "restore", "storage", "token", "user", "wal"}
"""Words that another word may follow which belongs to the command."""


def checks() -> dict[str, Callable[[], None]]:
    """The check of this file."""
    return {"the commands of pages are run by a scenario": commands_are_run}


def commands_are_run() -> None:
    """With the same options, whatever their values are."""
    run = {command for file in HARNESS.parent.glob("*.nix") for command in _commands(file.read_text())}
    pages = [page for page in sorted(ADMIN.glob("*.md")) if page.name not in WHOLE]
    shown = 0
    for page in pages:
        for command in _shown(page):
            shown += 1
            if not any(command[0] == ran[0] and command[1] <= ran[1] for ran in run):
                words = " ".join([*command[0], *sorted(command[1])])
                raise Failed(f"{page.relative_to(REPOSITORY)}: no scenario runs `{words}`")
    if shown < 10:
        raise Failed(f"only {shown} commands were found in the pages: are they still written as they were?")


def _shown(page: Path) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    for block in BLOCK.findall(page.read_text()):
        yield from _commands(block)


def _commands(text: str) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Each command as its words and its options."""
    for match in COMMAND.finditer(text):
        words = match[0].split()
        options = frozenset(word for word in words if word.startswith("--") and word != "--json")
        names = [word for word in words[1:] if not word.startswith("-")]
        name = [word for word in names[:1] if SUBCOMMAND.fullmatch(word)]
        if name and name[0] in GROUPS - {"restore"} and len(names) > 1 and SUBCOMMAND.fullmatch(names[1]):
            name.append(names[1])
        if name:
            yield ("tenon", *name), options
