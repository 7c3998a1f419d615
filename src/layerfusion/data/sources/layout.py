"""The language of layouts: which images of a tree lie where, and what they are."""

import re
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from layerfusion.data.manifest import Split
from layerfusion.settings.user_yaml import Strict, below_root

PLATFORMS = {
    name.lower(): name
    for name in (
        "Discord", "Facebook", "Instagram", "LinkedIn", "Pinterest", "Reddit", "Telegram", "TikTok",
        "Twitter", "WeChat", "WhatsApp", "X",
    )
}  # fmt: skip
DEFAULT_SOURCE = "folder"

_TOKEN = re.compile(r"[{](?P<name>\w+)(?::(?P<values>[^{}]*))?[}]|(?P<wild>[*?])|(?P<text>.)")
_WILD = {"*": "[^/]*", "?": "[^/]"}


class Place(NamedTuple):
    """What is known of one image from where it lies: all columns of `file_table` but its path."""

    label: int | None
    split: Split
    source: str
    generator: str | None
    platform: str | None


class Entry(Strict):
    """Images of one kind: the paths where they lie, and what they are.

    In a path ``*`` and ``?`` stand for any text within a name, ``**`` for any folders.
    ``{generator}`` and ``{platform}`` stand for a name that is then the image's generator or
    platform, ``{generator:FLUX.1|SDXL*}`` only for names like one of these, upper and lower case
    alike; a name without ``*`` and ``?`` is put into the spelling given here. A platform is one of
    `PLATFORMS` where nothing else is given.
    """

    path: Annotated[str, AfterValidator(below_root)]
    label: Literal["real", "synthetic"] | None
    split: Split
    source: str = Field(default=DEFAULT_SOURCE, min_length=1)
    platform: str | None = None
    # Its ``{generator}`` is what the path's stands for.
    generator: str | None = None

    @model_validator(mode="after")
    def _labelled_unless_test(self) -> "Entry":
        if self.label is None and self.split != "test":
            raise ValueError(f"images for {self.split} need a label, real or synthetic")
        self.pattern()
        return self

    def pattern(self) -> str:
        """Return the regular expression of the entry's paths, each of which ends in a slash."""
        steps = PurePosixPath(self.path).parts
        return "".join(
            "(?:[^/]+/)*" if step == "**" else _TOKEN.sub(_expression, step) + "/" for step in steps
        )

    @cached_property
    def spellings(self) -> dict[str, dict[str, str]]:
        """By name in braces, the spelling of what it stands for, by the text in lower case."""
        named = (token for token in _TOKEN.finditer(self.path) if token["name"])
        return {
            token["name"]: {value.lower(): value for value in _values(token)} for token in named
        }

    def place(self, match: re.Match[str]) -> Place:
        """Return what an image is whose path matched the `pattern`."""
        found = {
            name: self.spellings[name].get(text.lower(), text)
            for name, text in match.groupdict().items()
        }
        generator = found.get("generator")
        if self.generator is not None:
            generator = self.generator.replace("{generator}", generator or "")
        return Place(
            None if self.label is None else int(self.label == "synthetic"),
            self.split,
            self.source,
            generator,
            found.get("platform", self.platform),
        )


Patterns = list[tuple[re.Pattern[str], Entry]]  # in the order in which they are tried


def find_place(path: str, patterns: Patterns) -> Place | None:
    """Return what an image is by the first entry whose pattern matches its path and a slash."""
    matches = ((pattern.match(path + "/"), entry) for pattern, entry in patterns)
    return next((entry.place(match) for match, entry in matches if match), None)


def _values(token: re.Match[str]) -> list[str]:
    """Return what a name in braces may be like."""
    usual = "|".join(PLATFORMS.values()) if token["name"] == "platform" else "*"
    return (token["values"] or usual).split("|")


def _expression(token: re.Match[str]) -> str:
    """Return the regular expression of one token of a path."""
    name = token["name"]
    if name is None:
        return _WILD[token["wild"]] if token["wild"] else re.escape(token["text"])
    if name not in ("generator", "platform"):
        raise ValueError(f"{token[0]} in the path is neither {{generator}} nor {{platform}}")
    like = (
        "".join(_WILD.get(letter, re.escape(letter)) for letter in value)
        for value in _values(token)
    )
    return f"(?P<{name}>(?i:{'|'.join(like)}))"
