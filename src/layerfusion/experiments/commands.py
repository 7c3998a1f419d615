"""The commands that make a study or train one of its variants, as a user gives them."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerfusion.experiments.variant import Variant


def shared_options(profile: str, data_root: str | Path | None, overrides: Mapping[str, Any]) -> str:
    """Return the options that all commands of a study share, as they are given."""
    words = ["--profile", profile]
    if data_root is not None:
        words += ["--data-root", str(data_root)]
    return shlex.join(words + _set_words(overrides))


def training_command(variant: Variant, seed: int, options: str) -> str:
    """Return the command that trains a variant with a seed."""
    words = shlex.join(_set_words(variant.overrides))
    return f"layerfusion train {options} --run {variant.run} --seed {seed} {words}".rstrip()


def _set_words(overrides: Mapping[str, Any]) -> list[str]:
    """Return the words that replace settings on the command line."""
    return [
        word
        for name, value in overrides.items()
        for word in ("--set", f"{name}={json.dumps(value)}")
    ]
