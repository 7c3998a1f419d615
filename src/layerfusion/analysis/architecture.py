"""What a detector is made of: its stages, their sizes, and what its activation changes.

Sizes are measured, not derived: an image goes through the detector and every stage is looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from layerfusion.analysis.probes import class_tokens
from layerfusion.data.manifest import Manifest
from layerfusion.model.detector import Detector
from layerfusion.model.fusion import LayerFusion, blocks_read, build_head
from layerfusion.model.weights import model_config
from layerfusion.settings import EncoderSettings, HeadSettings, Profile


@dataclass(frozen=True)
class Blueprint:
    """The sizes that an overview of a detector shows; see `blueprint`.

    Attributes
    ----------
    model
        Name of the encoder.
    crop, patch
        Sides of the image and of a patch, px.
    blocks
        L, the number of transformer blocks.
    trained_blocks
        How many of the last of them are trained.
    read_blocks
        The blocks whose class tokens the head reads, counted from 1.
    learned_weights
        Whether how much each of them weighs is trained.
    width, projection_width
        Lengths of a class token and of z.
    classifier
        The classifier's layers in words, and whether each has parameters.
    """

    model: str
    crop: int
    patch: int
    blocks: int
    trained_blocks: int
    read_blocks: tuple[int, ...]
    learned_weights: bool
    width: int
    projection_width: int
    classifier: tuple[tuple[str, bool], ...]


def blueprint(detector: Detector) -> Blueprint:
    """Return the sizes of a detector, read from its modules."""
    encoder, head = detector.encoder, detector.head
    visual: Any = encoder.visual
    read = blocks_read(detector.head_settings, encoder.depth)
    return Blueprint(
        model=Path(detector.encoder_settings.model).name.removesuffix(".json"),
        crop=encoder.image_size,
        patch=int(visual.conv1.kernel_size[0]),
        blocks=encoder.depth,
        trained_blocks=encoder.trained_blocks,
        read_blocks=tuple(block + 1 for block in read),
        learned_weights=head.learned_weights,
        width=encoder.width,
        projection_width=head.projection.out_features,
        classifier=tuple((_in_words(layer), _count([layer]) > 0) for layer in head.classifier),
    )


def stages(detector: Detector) -> pd.DataFrame:
    """Run one black image through a detector and return what each stage made of it.

    Returns
    -------
    DataFrame
        A row a stage, in the order of computation, indexed by ``stage``:

        - ``output``: shape of the stage's output for one image, as text (``65 × 192``);
        - ``parameters``: number of scalars that the stage itself holds;
        - ``state``: ``trained``, ``frozen``, or empty where there is nothing to train.

        The encoder's last norm and its output projection are no stages: the head does not read
        them.
    """
    steps = _steps(detector)
    seen: dict[nn.Module, tuple[torch.Size, torch.Size]] = {}

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen[module] = (inputs[0].shape, output.shape)

    side = detector.encoder.image_size
    image = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=detector.mean.device)
    with torch.inference_mode(), _Watch([step.module for step in steps], look):
        detector(image)
    rows = [("image", _shape(image.shape), 0, "")]
    rows += [
        (step.name, _shape(seen[step.module][step.side]), _count(step.own), _state(step.own))
        for step in steps
    ]
    return pd.DataFrame(rows, columns=["stage", "output", "parameters", "state"]).set_index("stage")


def head_of(encoder: EncoderSettings, head: HeadSettings) -> LayerFusion:
    """Return a head of the sizes that settings describe, on torch's ``meta`` device.

    It has shapes and no numbers, so neither the encoder nor its weights are needed.

    Raises
    ------
    UserError
        If there is no such encoder.
    """
    vision = model_config(encoder.model)["vision_cfg"]
    with torch.device("meta"):
        return build_head(head, depth=vision["layers"], width=vision["width"])


def head_parameters(heads: Mapping[str, LayerFusion]) -> pd.DataFrame:
    """Return how many scalars each part of a head holds, and their sum: a column a head.

    Heads that are compared have the same layers; only their sizes may differ.
    """
    columns = {}
    for name, head in heads.items():
        counts = {
            "shared projection": _count([head.projection]),
            "block logits": _count([head.block_logits]),
        }
        for number, layer in enumerate(head.classifier, start=1):
            if _count([layer]):
                counts[f"classifier {number}: {type(layer).__name__}"] = _count([layer])
        columns[name] = counts | {"head": sum(counts.values())}
    return pd.DataFrame(columns).rename_axis("part")


def activation_curves(reach: float = 4.0, points: int = 801) -> pd.DataFrame:
    """Return both activations on [-reach, reach]: columns ``x``, ``quick_gelu``, ``gelu``.

    Computed in float64 by the modules that `layerfusion.model.weights.set_activation` puts into a
    tower. QuickGELU is x sigmoid(1.702 x), GELU is x Phi(x) (Hendrycks and Gimpel 2016).
    """
    x = torch.linspace(-reach, reach, points, dtype=torch.float64)
    curves = {"x": x, "quick_gelu": QuickGELU()(x), "gelu": nn.GELU()(x)}
    return pd.DataFrame({name: values.numpy() for name, values in curves.items()})


def activation_gap(profile: Profile, manifest: Manifest) -> pd.DataFrame:
    """Measure how far plain GELU moves the pretrained encoder's class tokens from QuickGELU's.

    Parameters
    ----------
    profile
        Its encoder is built with both activations, each with the same weights.
    manifest
        The images, read as for evaluation; a few dozen suffice.

    Returns
    -------
    DataFrame
        A row a ``block`` (index, from 1) with the quartiles ``low``, ``median`` and ``high`` over
        the images of ||h_gelu - h_quick|| / ||h_quick||: Euclidean norms, no unit, 0 or more.

    Raises
    ------
    UserError
        If the encoder cannot be had, there are no images, or one cannot be read.
    """

    def tokens(activation: str) -> Any:
        encoder = profile.encoder.model_copy(update={"activation": activation})
        detector = Detector.build(encoder, profile.head, profile.images)
        return class_tokens(detector, manifest, profile.images, profile.loader).astype(np.float64)

    quick = tokens("quick_gelu")
    gap = np.linalg.norm(tokens("gelu") - quick, axis=2) / np.linalg.norm(quick, axis=2)
    quartiles = np.quantile(gap, [0.25, 0.5, 0.75], axis=0)
    blocks = pd.RangeIndex(1, gap.shape[1] + 1, name="block")
    return pd.DataFrame(quartiles.T, index=blocks, columns=["low", "median", "high"])


def spread(manifest: Manifest, count: int) -> Manifest:
    """Return `count` images at equal distances in the manifest's order, or all if it has fewer.

    Nothing is drawn: a manifest that lies sorted by folders is represented folder by folder.
    """
    rows = manifest.rows
    positions = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return Manifest(manifest.root, rows.iloc[positions].reset_index(drop=True), manifest.skipped)


class _Step(NamedTuple):
    """A stage: the module at which its output is seen, on its input (0) or output (1) side."""

    name: str
    module: nn.Module
    own: list[nn.Module | Tensor]
    side: int = 1


def _steps(detector: Detector) -> list[_Step]:
    """Return the stages after the image, in the order of computation."""
    visual: Any = detector.encoder.visual
    head = detector.head
    position = [visual.class_embedding, visual.positional_embedding, visual.ln_pre]
    steps = [
        _Step("patch embedding", visual.conv1, [visual.conv1]),
        _Step("class token and positions", visual.ln_pre, position),
    ]
    for number, block in enumerate(visual.transformer.resblocks, start=1):
        # A block ends with its MLP, which runs, and has its output's shape, also where the last
        # block is computed for its class token alone.
        steps.append(_Step(f"block {number}", block.mlp, [block]))
    steps.append(_Step("class tokens h", head, [], side=0))
    steps.append(_Step("projection", head.projection, [head.projection]))
    # The weighted sum is no module; what the classifier is given is its result.
    steps.append(_Step("fusion z", head.classifier, [head.block_logits], side=0))
    return steps + [
        _Step(f"classifier {number}: {_in_words(layer)}", layer, [layer])
        for number, layer in enumerate(head.classifier, start=1)
    ]


class _Watch:
    """Call a function after each of some modules has run, for as long as the context lasts."""

    def __init__(self, modules: list[nn.Module], call: Callable[..., None]) -> None:
        self._modules, self._call = modules, call

    def __enter__(self) -> None:
        self._handles = [module.register_forward_hook(self._call) for module in self._modules]

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()


def _parameters(own: Sequence[nn.Module | Tensor]) -> list[nn.Parameter]:
    """Return the parameters among and in these; a tensor that is none has nothing to train."""
    found: list[nn.Parameter] = []
    for part in own:
        if isinstance(part, nn.Module):
            found += part.parameters()
        elif isinstance(part, nn.Parameter):
            found.append(part)
    return found


def _count(own: Sequence[nn.Module | Tensor]) -> int:
    return sum(parameter.numel() for parameter in _parameters(own))


def _state(own: Sequence[nn.Module | Tensor]) -> str:
    parameters = _parameters(own)
    if not parameters:
        return ""
    return "trained" if any(p.requires_grad for p in parameters) else "frozen"


def _shape(shape: torch.Size) -> str:
    """Return the shape of one image's share of a batch, as text."""
    return " × ".join(str(size) for size in shape[1:])


def _in_words(layer: nn.Module) -> str:
    match layer:
        case nn.Linear():
            return f"Linear {layer.in_features} → {layer.out_features}"
        case nn.Dropout():
            return f"Dropout {layer.p:g}"
    return type(layer).__name__
