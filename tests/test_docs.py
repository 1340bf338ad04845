"""The Python in the README runs as it stands, and what the documents link to is there."""

import re
import shlex
from pathlib import Path

import click
import pytest

from icmoe_core.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(path, language):
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=f"block{n}")
        for n, code in enumerate(blocks(ROOT / "README.md", "python"))
    ],
)
def test_readme_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_readme_has_a_python_example():
    assert blocks(ROOT / "README.md", "python")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_options_in_shell_examples_exist(path):
    for line in shell_lines(path):
        words = shlex.split(line, comments=True)
        if not words or words[0] != "icmoe" or len(words) < 2 or words[1] not in COMMANDS:
            continue
        command = main.get_command(click.Context(main), words[1])
        if isinstance(command, click.Group):
            command = command.commands[words[2]]
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words[2:]:
            if re.match(r"--[a-z]", word):
                assert word.partition("=")[0] in known | {"--help"}, f"{path.name}: {line}"


def shell_lines(path):
    for block in blocks(path, "(?:bash|sh|console|shell)"):
        yield from block.replace("\\\n", " ").splitlines()
