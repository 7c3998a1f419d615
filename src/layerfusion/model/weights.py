"""Building visual towers, and what their weights ask of a caller."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

import open_clip
import psutil
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.files import file_sha256, read_text
from layerfusion.model.fusion import blocks_read
from layerfusion.model.known_weights import KNOWN, PretrainedTag, read_known
from layerfusion.model.other_towers import (
    OWN,
    TIMM,
    Description,
    build_timm,
    describe_other,
    is_other,
    is_own,
    own_tower,
    timm_tags,
)
from layerfusion.model.weight_files import (
    config_normalisation,
    file_activation,
    read_visual_weights,
    tensors_sha256,
)
from layerfusion.settings import (
    Activation,
    EncoderSettings,
    HeadSettings,
    ImageSettings,
    Normalisation,
)

Source = Literal["random", "embedded", "known", "tag", "file", "own"]

OPENAI: Normalisation = (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)

# OpenCLIP's own way of learning new model names: the towers of this package become known to it.
TOWERS = Path(str(files("layerfusion.model") / "towers"))
open_clip.add_model_config(TOWERS)

_MODEL_NAME = re.compile(r"\w[\w.-]*")

# OpenCLIP builds both towers of a model; the text tower is never used, so it is kept this small.
_NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}


def describe(model: str) -> Description:
    """Return what is known of a tower without its weights, whichever library it is from.

    Raises
    ------
    UserError
        If there is no such model, or it is no vision transformer.
    """
    if is_other(model):
        return describe_other(model)
    vision = model_config(model)["vision_cfg"]
    side = vision.get("image_size", 224)
    return Description(
        depth=vision["layers"],
        width=vision["width"],
        image_size=side[0] if isinstance(side, list) and side[0] == side[-1] else side,
    )


def model_config(model: str) -> dict[str, Any]:
    """Return the OpenCLIP configuration of a model, by name or from a model-config JSON.

    Raises
    ------
    UserError
        If there is no such model, the file is not a model configuration, or its visual tower is not
        one of OpenCLIP's own vision transformers.
    """
    if model.endswith(".json"):
        config = _read_config(Path(model))
    else:
        # OpenCLIP takes a name with a colon for a place, and looks for it on the network.
        known = open_clip.get_model_config(model) if _MODEL_NAME.fullmatch(model) else None
        if known is None:
            raise UserError(
                f"OpenCLIP knows no model '{model}'; give a name such as ViT-L-14 or the path of "
                "a model-config JSON"
            )
        config = known
    vision = config["vision_cfg"]
    if vision.get("timm_model_name") or not isinstance(vision.get("layers"), int):
        raise UserError(
            f"the visual tower of '{model}' is not an OpenCLIP vision transformer; choose a ViT "
            "such as ViT-L-14"
        )
    machine = psutil.virtual_memory().total
    _check_size(vision, model, machine, "the memory of this machine holds")
    return config


def check_architecture(encoder: EncoderSettings, head: HeadSettings, images: ImageSettings) -> None:
    """Raise an error if settings do not go together; nothing is read but the model's description.

    Raises
    ------
    UserError
        If there is no such model or it is no vision transformer, its weights are not to be found,
        it has fewer blocks than are trained or read, or takes crops of another size.
    """
    tower = describe(encoder.model)
    depth, side = tower.depth, tower.image_size
    if encoder.trained_blocks > depth:
        raise UserError(
            f"encoder.trained_blocks is {encoder.trained_blocks}, but the tower has {depth} blocks"
        )
    blocks_read(head, depth)
    if side != images.crop:
        raise UserError(
            f"images.crop is {images.crop} px, but {encoder.model} takes images of {side} px; set "
            f"images.crop={side}"
        )
    weights_source(encoder)


def build_tower(settings: EncoderSettings) -> nn.Module:
    """Build the visual tower that the settings describe, with its weights, in float32.

    It is a module that `layerfusion.model.tower.tower_of` knows.

    Raises
    ------
    UserError
        If the model or its weights cannot be had, or do not fit each other.
    """
    source = weights_source(settings)
    if is_other(settings.model):
        return _build_other(settings, source)
    config = model_config(settings.model)
    free = "there is free memory for here; end other programs, or choose a smaller model"
    _check_size(config["vision_cfg"], settings.model, _free_memory(), free)
    activation = resolved(settings).activation
    tower = _empty_tower(config, settings.model, initialised=source == "random")
    if source == "random":
        _draw_weights(tower, settings.random_seed)
    elif source == "known":
        _fill(tower, read_known(KNOWN[settings.weights]), settings)
    else:
        file = weights_file(settings) or PretrainedTag(settings.model, settings.weights).get()
        _fill(tower, read_visual_weights(file), settings)
    set_activation(tower, activation)
    return cast(nn.Module, tower.float())


def embedded_weights(model: str) -> Path:
    """Return where the weights of a model lie if they come with this package."""
    return TOWERS / f"{model}.safetensors"


def weights_source(settings: EncoderSettings) -> Source:
    """Say what `settings.weights` names.

    Raises
    ------
    UserError
        If it is neither ``random``, nor ``embedded`` with a model that this package has weights
        of, nor a name of `KNOWN`, nor a pretrained tag of the model, nor an existing file.
    """
    if settings.weights == "random":
        return "random"
    if settings.weights == "embedded":
        if not embedded_weights(settings.model).is_file():
            raise UserError(f"this package comes with no weights of '{settings.model}'")
        return "embedded"
    if settings.weights in KNOWN and not is_other(settings.model):
        return "known"
    if is_own(settings.model) and settings.weights == OWN:
        return "own"
    tags = _tags(settings.model)
    if settings.weights in tags:
        return "tag"
    if Path(settings.weights).is_file():
        return "file"
    known = f"a pretrained tag of {settings.model} ({', '.join(tags)})" if tags else "a tag"
    raise UserError(
        f"encoder.weights '{settings.weights}' is neither {known}, nor {' nor '.join(KNOWN)}, nor "
        "an existing file, nor 'random'"
    )


def _tags(model: str) -> list[str]:
    """Return the names of a model's pretrained weights."""
    if is_own(model):
        return [OWN]
    if is_other(model):
        return timm_tags(model)
    tags: list[str] = open_clip.list_pretrained_tags_by_model(model)
    return tags


def _build_other(settings: EncoderSettings, source: Source) -> nn.Module:
    """Return a tower of timm's or a user's own with its weights."""
    if settings.activation != "auto":
        raise UserError(
            f"{settings.model} has its own activation; leave encoder.activation as it is, auto"
        )
    if source == "own":
        module: nn.Module = own_tower(settings.model).visual
        return module.float()
    parameters = describe(settings.model).parameters
    if 4 * parameters > _free_memory():
        raise UserError(
            f"{settings.model} has {parameters:.1e} parameters, more than there is free memory "
            "for here; end other programs, or choose a smaller model"
        )
    module = build_timm(settings)
    if source == "random":
        _draw_weights(module, settings.random_seed)
    return module.float()


def check_names_no_file(encoder: EncoderSettings, whose: str, weights: str | None) -> None:
    """Refuse what somebody else's detector says of its encoder, if it names a file.

    Parameters
    ----------
    whose
        The detector, for the message.
    weights
        Where the reader says that the weights lie; what the description says is then not read.

    Raises
    ------
    UserError
        If the model is not a name of OpenCLIP's, or the weights are not known by a name.
    """
    model = encoder.model.removeprefix(TIMM)
    if model.endswith(".json") or not _MODEL_NAME.fullmatch(model):
        raise UserError(
            f"{whose} describes its encoder by a file, '{encoder.model}', and a detector from "
            "elsewhere may name none; look at it first, and keep it below the folder of your runs "
            "if you trust it"
        )
    try:
        named = weights is not None or weights_source(encoder) != "file"
    except UserError:  # no name that is known here
        named = False
    if not named:
        raise UserError(
            f"{whose} wants its encoder's weights from a file, '{encoder.weights}', and a detector "
            "from elsewhere may name none; say where yours are with --weights (weights= in Python)"
        )


def weights_file(settings: EncoderSettings) -> Path | None:
    """Return the file that holds the weights; None where a name stands for it.

    Raises
    ------
    UserError
        As `weights_source`.
    """
    source = weights_source(settings)
    if source == "embedded":
        return embedded_weights(settings.model)
    return Path(settings.weights) if source == "file" else None


def encoder_identity(settings: EncoderSettings) -> dict[str, Any]:
    """Return what an encoder's numbers depend on, wherever its files lie, as plain JSON values.

    These are the settings, with a model-config JSON's contents and a weights file's sha256 in place
    of the paths, so that a run is the same run on another machine, and with the activation and the
    normalisation that "auto" and None come to. Weights that are known by name or tag need not be
    there.

    Raises
    ------
    UserError
        If the model or its weights file cannot be found, or the activation cannot be told.
    """
    identity = resolved(settings).model_dump(mode="json")
    if is_own(settings.model):
        identity["weights"] = tensors_sha256(own_tower(settings.model).visual.state_dict())
    if settings.model.endswith(".json"):
        identity["model"] = model_config(settings.model)
    if file := weights_file(settings):
        identity["weights"] = file_sha256(file)
    return identity


def resolved(settings: EncoderSettings) -> EncoderSettings:
    """Return settings whose activation, mean and std are those that the weights want.

    Mean and standard deviation are of pixels in 0..1. Where the settings leave one open it is that
    of OpenCLIP's configuration for a pretrained tag (some were trained with .5), of the
    ``preprocessor_config.json`` beside a weights file of transformers, and OpenAI's otherwise.

    The activation that "auto" stands for is the one that the weights were trained with. OpenAI's
    were trained with QuickGELU, x * sigmoid(1.702 x). OpenCLIP builds ViT-L-14 with plain GELU and
    only warns when OpenAI's weights are loaded into it; the features are then not OpenAI's. The
    published numbers were most likely made that way, so both can be chosen.

    Raises
    ------
    UserError
        If the model or its weights file cannot be found, or neither the weights file nor the model
        configuration can tell the activation.
    """
    source = weights_source(settings)
    if is_other(settings.model):
        return _resolved_other(settings)
    config = model_config(settings.model)
    mean, std = OPENAI
    activation: Activation | None = None
    if source == "tag":
        config = open_clip.get_pretrained_cfg(settings.model, settings.weights)
        mean, std = config.get("mean") or mean, config.get("std") or std
    elif source == "file":
        mean, std = config_normalisation(Path(settings.weights)) or OPENAI
    elif source == "known":
        activation = KNOWN[settings.weights].activation
    if settings.activation != "auto":
        activation = settings.activation
    elif source == "file":
        activation = file_activation(Path(settings.weights))
        if activation is None and "quick_gelu" not in config:
            raise UserError(
                f"the weights file {settings.weights} does not say which activation it was trained "
                "with; set encoder.activation to quick_gelu (OpenAI's weights) or gelu (most "
                "others)"
            )
    return settings.model_copy(
        update={
            "activation": activation or ("quick_gelu" if config.get("quick_gelu") else "gelu"),
            "mean": settings.mean or mean,
            "std": settings.std or std,
        }
    )


def _resolved_other(settings: EncoderSettings) -> EncoderSettings:
    """Return settings of a tower of timm's or a user's own with what it says of itself."""
    known = describe(settings.model)
    mean, std = known.normalisation or OPENAI
    patches = {} if known.has_class_token else {"tokens": "patches"}
    given = {"mean": settings.mean or mean, "std": settings.std or std}
    return settings.model_copy(update=given | patches)


def set_activation(tower: VisionTransformer, activation: str) -> None:
    """Make every block of the tower compute with an activation, ``quick_gelu`` or ``gelu``."""
    for block in tower.transformer.resblocks:
        block.mlp.gelu = QuickGELU() if activation == "quick_gelu" else nn.GELU()


def _free_memory() -> int:
    """Return how many bytes this process may still take: of the machine, and of its limits."""
    own, limits = psutil.Process(), [psutil.virtual_memory().available]
    with suppress(OSError, ValueError):  # "max": the container has no limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
    with suppress(AttributeError):  # not Linux
        limit = own.rlimit(psutil.RLIMIT_AS)[0]
        limits += [limit - own.memory_info().vms] * (limit != psutil.RLIM_INFINITY)
    return min(limits)


def _check_size(vision: Mapping[str, Any], model: str, room: int, whose: str) -> None:
    """Raise a UserError if a tower's sizes are no numbers, or it needs more than `room` bytes."""
    try:
        depth, width = int(vision["layers"]), int(vision["width"])
        side, patch = vision.get("image_size", 224), vision.get("patch_size", 16)
        sides = side if isinstance(side, list) else [side, side]
        tokens = 1 + math.prod(n // patch for n in sides)
        block = (4 + 2 * float(vision.get("mlp_ratio", 4))) * width**2
        parameters = depth * block + width * (tokens + 3 * patch**2)
        sound = depth > 0 and width > 0 and patch > 0 and 4 * parameters > 0
    except (KeyError, TypeError, ValueError, ArithmeticError):
        sound = False
    if not sound:
        raise UserError(f"the visual tower of '{model}' has no sizes of a vision transformer")
    if 4 * parameters > room:
        raise UserError(
            f"the visual tower of '{model}' would have {parameters:.1e} parameters, more than "
            f"{whose}"
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"model-config JSON not found: {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as a model-config JSON: {error}") from None
    config = config.get("model_cfg", config) if isinstance(config, dict) else {}
    if not {"embed_dim", "vision_cfg"} <= config.keys():
        raise UserError(
            f"{path} is not a valid OpenCLIP model configuration: it lacks embed_dim, vision_cfg"
        )
    return cast(dict[str, Any], config)


def _draw_weights(tower: nn.Module, seed: int) -> None:
    """Draw weights of variance 1 / fan-in and zero the biases.

    From integers, which torch's generator gives alike on every platform; its normal numbers differ
    in the last bit between processors, and a detector knows its frozen weights by their sha256.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in tower.named_parameters():
        if parameter.ndim > 1 or name == "class_embedding":
            fan_in = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
            steps = torch.randint(-(2**20), 2**20 + 1, parameter.shape, generator=generator)
            parameter.data.copy_(steps * (math.sqrt(3 / fan_in) / 2**20))
        elif name.endswith("bias"):
            parameter.data.zero_()


def _empty_tower(config: Mapping[str, Any], model: str, *, initialised: bool) -> VisionTransformer:
    """Build a tower, with weights as OpenCLIP draws them or, in no time, with any: to be filled."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu" if initialised else "meta"):
            clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], _NO_TEXT)
    except (TypeError, AssertionError, ValueError) as error:
        raise UserError(
            f"OpenCLIP cannot build '{model}' from its configuration: {error}"
        ) from None
    tower = cast(VisionTransformer, clip.visual)
    return tower if initialised else tower.to_empty(device="cpu")


def _fill(
    tower: VisionTransformer, tensors: Mapping[str, Tensor], settings: EncoderSettings
) -> None:
    expected = {name: tuple(value.shape) for name, value in tower.state_dict().items()}
    for name, shape in expected.items():
        found = tuple(tensors[name].shape) if name in tensors else "missing"
        if found != shape:
            raise UserError(
                f"the weights {settings.weights} do not fit {settings.model}: {name} should have "
                f"shape {shape} and is {found}"
            )
    for name in tensors.keys() - expected.keys():
        if name.startswith("transformer.resblocks."):
            raise UserError(
                f"the weights {settings.weights} do not fit {settings.model}, which has no {name}"
            )
    tower.load_state_dict({name: tensors[name] for name in expected})
