"""What a detector is made of: its stages, their sizes, and what its activation changes.

Sizes are measured, not derived: an image goes through the detector stage by stage.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from layerfusion.analysis.probes import class_tokens
from layerfusion.data.manifest import Manifest
from layerfusion.model.detector import Detector
from layerfusion.model.fusion import LayerFusion, as_fusion, blocks_read, build_head
from layerfusion.model.tower import class_token_after
from layerfusion.model.weights import describe
from layerfusion.settings import EncoderSettings, HeadSettings, Profile

Part = nn.Module | Tensor


@torch.inference_mode()
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
    side, device = detector.encoder.image_size, detector.mean.device
    image = torch.zeros(1, 3, side, side, device=device)
    rows = [("image", _shape(image), 0, "")]
    for name, output, *own in [*_encoder_stages(detector, image), *_head_stages(detector, image)]:
        parameters = [p for part in own for p in _parameters(part)]
        trained = any(parameter.requires_grad for parameter in parameters)
        state = ("trained" if trained else "frozen") if parameters else ""
        rows.append((name, _shape(output), sum(p.numel() for p in parameters), state))
    return pd.DataFrame(rows, columns=["stage", "output", "parameters", "state"]).set_index("stage")


def _encoder_stages(detector: Detector, image: Tensor) -> Iterator[tuple[Any, ...]]:
    """Yield name, output and parts of the encoder's stages."""
    encoder = detector.encoder
    visual: Any = encoder.visual
    image = image.to(visual.conv1.weight.dtype)
    yield "patch embedding", visual.conv1(image), visual.conv1
    stream = visual._embeds(image)
    parts = (visual.class_embedding, visual.positional_embedding, visual.ln_pre)
    yield "class token and positions", stream, *parts
    blocks = visual.transformer.resblocks
    for number, block in enumerate(blocks, start=1):
        stream = stream.to(next(block.parameters()).dtype)
        last = number == len(blocks) and encoder.trained_blocks > 0
        if last and encoder.last_block == "class_token":
            stream = class_token_after(block, stream)[:, None]
        else:
            stream = block(stream)
        yield f"block {number}", stream, block


def _head_stages(detector: Detector, image: Tensor) -> Iterator[tuple[Any, ...]]:
    """Yield name, output and parts of the head's stages."""
    head = as_fusion(detector.head)
    read = blocks_read(detector.head_settings, detector.encoder.depth)
    h = detector.encoder(image)[:, read]
    yield "class tokens h", h
    yield "projection", head.projection(h), head.projection
    z = head.fuse(h)
    yield "fusion z", z, head.block_logits
    for number, layer in enumerate(head.classifier, start=1):
        z = layer(z)
        yield f"classifier {number}: {describe_layer(layer)}", z, layer


def describe_layer(layer: nn.Module) -> str:
    """Return a classifier's layer with its sizes, such as ``Linear 256 → 1``."""
    match layer:
        case nn.Linear():
            return f"Linear {layer.in_features} → {layer.out_features}"
        case nn.Dropout():
            return f"Dropout {layer.p:g}"
    return type(layer).__name__


def head_of(encoder: EncoderSettings, head: HeadSettings) -> LayerFusion:
    """Return a head of the sizes that settings describe, on torch's ``meta`` device.

    It has shapes and no numbers, so neither the encoder nor its weights are needed.

    Raises
    ------
    UserError
        If there is no such encoder.
    """
    tower = describe(encoder.model)
    with torch.device("meta"):
        return as_fusion(build_head(head, depth=tower.depth, width=tower.width))


def head_parameters(heads: Mapping[str, LayerFusion]) -> pd.DataFrame:
    """Return how many scalars each part of a head holds, and their sum: a column a head.

    Heads that are compared have the same layers; only their sizes may differ.
    """
    columns = {}
    for name, head in heads.items():
        counts = {"shared projection": _count(head.projection)}
        counts["block logits"] = _count(head.block_logits)
        for number, layer in enumerate(head.classifier, start=1):
            if _count(layer):
                counts[f"classifier {number}: {type(layer).__name__}"] = _count(layer)
        columns[name] = counts | {"head": sum(counts.values())}
    return pd.DataFrame(columns).rename_axis("part")


def activation_curves() -> pd.DataFrame:
    """Return both activations on [-4, 4]: columns ``x``, ``quick_gelu``, ``gelu``.

    Computed in float64 by the modules that `layerfusion.model.weights.set_activation` puts into a
    tower. QuickGELU is x sigmoid(1.702 x), GELU is x Phi(x) (Hendrycks and Gimpel 2016).
    """
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
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
    tokens = {}
    for activation in ("quick_gelu", "gelu"):
        encoder = profile.encoder.model_copy(update={"activation": activation})
        detector = Detector.build(encoder, profile.head, profile.images)
        made = class_tokens(detector, manifest, profile.images, profile.loader)
        tokens[activation] = made.astype(np.float64)
    quick = tokens["quick_gelu"]
    gap = np.linalg.norm(tokens["gelu"] - quick, axis=2) / np.linalg.norm(quick, axis=2)
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


def _parameters(part: Part) -> list[nn.Parameter]:
    """Return the parameters in a module; a tensor that is none has nothing to train."""
    if isinstance(part, nn.Module):
        return list(part.parameters())
    return [part] if isinstance(part, nn.Parameter) else []


def _count(part: Part) -> int:
    return sum(parameter.numel() for parameter in _parameters(part))


def _shape(output: Tensor) -> str:
    """Return the shape of one image's share of a batch, as text."""
    return " × ".join(str(size) for size in output.shape[1:])
