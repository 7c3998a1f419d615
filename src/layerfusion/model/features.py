"""Images to features: the class tokens of every block, for all that is not scoring or training."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from layerfusion.model.detector import Detector


@torch.inference_mode()
def extract(
    detector: Detector,
    batches: Iterable[Tensor],
    count: int,
    *,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Return the class token after every block: h, shape (count, blocks, width), float32, CPU.

    Block 1 comes first, images in their order. ViT-L/14's take 98 kB an image in memory; with a
    cache (`Detector.prefix_cache`) no image passes the frozen blocks twice.

    Parameters
    ----------
    detector
        Put into evaluation mode here. Its encoder alone is used: untrained (`Detector.build`) it is
        the pretrained one, trained it has its fine-tuned last blocks.
    batches
        uint8 images (batch, 3, crop, crop) on any device, `count` in all.
    autocast
        Opens the context of the precision to compute with, as `Fabric.autocast`.
    """
    detector.eval()
    h = torch.empty(count, detector.encoder.depth, detector.encoder.width)
    done = 0
    for images in batches:
        with autocast():
            tokens = detector.class_tokens(images.to(detector.mean.device, non_blocking=True))
        h[done : done + len(images)] = tokens.cpu()
        done += len(images)
    return h
