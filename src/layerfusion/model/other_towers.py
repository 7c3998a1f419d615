"""Towers that are not OpenCLIP's own: timm's by name, and a user's by ``module:function``."""

import importlib
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from layerfusion.errors import UserError, reason
from layerfusion.model.tower import TimmTower, Tower, tower_of
from layerfusion.model.weight_files import read_named_tensors
from layerfusion.settings import EncoderSettings, Normalisation

TIMM = "timm/"
OWN = "own"  # what `encoder.weights` says of a user's module, which brings its own

_OWN_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Description:
    """What is known of a tower without its weights.

    Attributes
    ----------
    depth, width, image_size, has_class_token
        As `layerfusion.model.tower.Tower` has them.
    normalisation
        Mean and deviation of pixels in 0..1 that it was trained with, None where nobody says.
    parameters
        How many numbers it has; 0 where that is checked elsewhere.
    """

    depth: int
    width: int
    image_size: int
    has_class_token: bool = True
    normalisation: Normalisation | None = None
    parameters: int = 0


def is_own(model: str) -> bool:
    """Say whether ``encoder.model`` is ``module:function``; a path with a drive is not."""
    return _OWN_NAME.fullmatch(model) is not None


def is_other(model: str) -> bool:
    """Say whether ``encoder.model`` names a tower of timm's or a user's own."""
    return model.startswith(TIMM) or is_own(model)


def describe_other(model: str) -> Description:
    """Return the description of such a tower.

    Raises
    ------
    UserError
        If there is none of that name, or it is no vision transformer.
    """
    tower = own_tower(model) if is_own(model) else _empty_timm(model.removeprefix(TIMM))
    own = {name: getattr(tower.visual, name, None) for name in ("mean", "std")}
    said = getattr(tower.visual, "pretrained_cfg", own)
    mean, std = said["mean"], said["std"]
    return Description(
        tower.depth,
        tower.width,
        tower.image_size,
        tower.has_class_token,
        None if mean is None or std is None else (tuple(mean), tuple(std)),
        sum(parameter.numel() for parameter in tower.visual.parameters()),
    )


def own_tower(model: str) -> Tower:
    """Return the tower that a user's function makes: ``module:function``, looked up from here.

    Only who starts the program names it: a detector from elsewhere may not.

    Raises
    ------
    UserError
        If there is no such function, it fails, or it makes no tower.
    """
    name, _, function = model.partition(":")
    here = os.fspath(Path.cwd())
    sys.path.insert(0, here)
    try:
        made = getattr(importlib.import_module(name), function)()
    except Exception as error:  # a user's code may raise whatever it likes
        raise UserError(f"encoder.model '{model}' makes no tower: {reason(error)}") from error
    finally:
        sys.path.remove(here)
    if not isinstance(made, nn.Module):
        raise UserError(
            f"encoder.model '{model}' makes a {type(made).__name__}; a torch.nn.Module is needed"
        )
    return tower_of(made)


def timm_tags(model: str) -> list[str]:
    """Return the names of a timm model's pretrained weights."""
    name = model.removeprefix(TIMM)
    return [one.partition(".")[2] for one in timm.list_pretrained(f"{name}.*")]


def build_timm(settings: EncoderSettings) -> nn.Module:
    """Return timm's module with pretrained weights: of a tag, which may download, or of a file.

    Raises
    ------
    UserError
        If there is no such model, or the weights cannot be had or do not fit.
    """
    name = settings.model.removeprefix(TIMM)
    _empty_timm(name)
    if settings.weights in timm_tags(name):
        try:
            return _create(f"{name}.{settings.weights}", pretrained=True)
        except Exception as error:  # the hub's clients raise whatever their transport raises
            raise UserError(
                f"the weights {settings.weights} of {settings.model} are not on this machine and "
                f"cannot be fetched ({reason(error)}); fetch them where there is a network, or "
                "give encoder.weights the path of a file"
            ) from None
    module = _create(name)
    if settings.weights != "random":
        _fill_timm(module, Path(settings.weights), settings.model)
    return module


def _fill_timm(module: Any, path: Path, model: str) -> None:
    """Load a file strictly, after timm's own renaming of other layouts; classifiers are left."""
    tensors = read_named_tensors(path)
    rename = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if not tensors.keys() >= module.state_dict().keys() and rename is not None:
        try:
            tensors = rename(dict(tensors), module)
        except Exception as error:  # it meets names that it was not written for
            raise UserError(f"{path} does not fit {model}: {reason(error)}") from None
    own = module.state_dict()
    wrong = [n for n in own if n not in tensors or tensors[n].shape != own[n].shape]
    unknown = [n for n in tensors if n.startswith("blocks.") and n not in own]
    if wrong or unknown:
        raise UserError(
            f"the weights {path} do not fit {model}: {min(wrong or unknown)} is missing, unknown "
            "or of another shape"
        )
    module.load_state_dict({name: tensors[name] for name in own})


@cache
def _empty_timm(name: str) -> Tower:
    """Return a timm model without numbers, for its sizes."""
    with torch.device("meta"):
        return TimmTower(_create(name))


def _create(name: str, *, pretrained: bool = False) -> nn.Module:
    base = name.partition(".")[0]
    if not base.isidentifier() or not timm.is_model(base):
        raise UserError(
            f"timm knows no model '{base}'; `python -c 'import timm; print(timm.list_models())'` "
            "lists them"
        )
    with torch.random.fork_rng(devices=[]):
        module: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0)
    return module
