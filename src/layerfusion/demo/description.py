"""The demo world's cameras, platforms, generators and parts, as ``world.yaml`` describes them."""

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter

Described = TypeVar("Described")


def described(what: str, kind: type[Described]) -> tuple[Described, ...]:
    """Return the entries of a section as objects of a dataclass, in their order.

    Raises
    ------
    pydantic.ValidationError
        If an entry lacks a field, or has a value of another type.
    """
    return TypeAdapter(tuple[kind, ...]).validate_python(_world()[what])  # type: ignore[valid-type]


@cache
def _world() -> dict[str, Any]:
    path = Path(__file__).with_name("world.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
