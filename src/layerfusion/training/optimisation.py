"""The optimiser, and one step of it."""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from layerfusion.data.loading import TrainingBatch
from layerfusion.model.detector import Detector
from layerfusion.settings import TrainingSettings


def build_optimizer(detector: Detector, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW over what is trained: the head, and the last blocks at their own rate.

    It is torch's fused one: on a CPU the other takes square roots from MKL, whose digits are not
    those of IEEE and differ between processors' makers. But not with fp16: a fused step undoes the
    scaling of gradients itself, and they have to be clipped before.
    """
    blocks = [p for p in detector.encoder.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": list(detector.head.parameters()), "lr": settings.head_learning_rate},
        {"params": blocks, "lr": settings.backbone_learning_rate},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        weight_decay=settings.weight_decay,
        fused=settings.precision != "fp16",
    )


def optimization_step(
    fabric: Fabric,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    *,
    clip_norm: float,
) -> Tensor:
    """Take one step; return the mean loss of the process's share times its weight, shape ().

    `model` and `optimizer` are as `fabric.setup` returned them; the loss stays on the device.
    """
    logits = model(fabric.to_device(batch.images))
    loss = binary_cross_entropy_with_logits(logits, fabric.to_device(batch.labels)) * batch.weight
    fabric.backward(loss)
    # Infinite gradients are how fp16's scaler finds its scale: it skips those steps itself.
    fabric.clip_gradients(model, optimizer, max_norm=clip_norm, error_if_nonfinite=False)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()
