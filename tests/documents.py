"""What README and pages tell a reader to type, and the commands that there are."""

import re
import shlex
from functools import cache
from pathlib import Path

import typer

from layerfusion.cli.main import app

ROOT = Path(__file__).resolve().parents[1]


def code_blocks(page, language=r"\w*"):
    """The code blocks of a Markdown file, by its path in the project."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def shell_lines(page):
    """Each command line of a page's bash blocks: continued lines joined, loops unrolled."""
    text = "".join(code_blocks(page, "bash")).replace("\\\n", " ")
    for loop, name, values, body in re.findall(
        r"^(for (\w+) in (.*?); do\n(.*?)^done\n)", text, flags=re.MULTILINE | re.DOTALL
    ):
        text = text.replace(loop, "".join(body.replace(f"${name}", v) for v in values.split()))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def said(page, program):
    """What a page says after a program's name: in lines of code blocks and in code spans."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    code = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    pieces = "\n".join(
        [*code, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))]
    )
    return re.findall(rf"^ *{program} (.*)", pieces.replace(" && ", "\n"), flags=re.MULTILINE)


@cache
def command_tree():
    """Every command of `layerfusion` by its words, as `data check`."""
    found, groups = {}, [("", typer.main.get_command(app))]
    while groups:
        words, group = groups.pop()
        for name, command in group.commands.items():
            whole = f"{words} {name}".strip()
            if hasattr(command, "commands"):
                groups.append((whole, command))
            else:
                found[whole] = command
    return found


def command_of(line):
    """Which command a line begins with, without the program's name; None if it is none."""
    words = shlex.split(line)
    return next(
        (" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in command_tree()), None
    )
