"""What frozen blocks gave for whole batches, in memory: a second look at them costs nothing."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from layerfusion.model.encoder import FrozenTokens
from layerfusion.settings import digest

LIMIT = 256 * 10**6  # bytes: ten times the demo's validation images, a few hundred of ViT-L/14


class BatchMemory:
    """Frozen tokens by batch, up to a limit; a batch that no longer fits is computed every time.

    Unlike `layerfusion.model.prefix_cache.PrefixCache` it knows whole batches only, so that tokens
    are those of the very computation that it spares, to the last bit.

    Attributes
    ----------
    found : int
        How many images were found since this object was made.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.found = 0
        self._free = limit
        self._known: dict[str, FrozenTokens] = {}

    def frozen_tokens(
        self,
        images: Tensor,
        *,
        identity: Mapping[str, Any],
        compute: Callable[[Tensor], FrozenTokens],
        fits: Callable[[FrozenTokens], bool],
    ) -> FrozenTokens:
        """Return the frozen tokens of a batch, uint8 (batch, 3, height, width).

        `identity` and `compute` are those of `PrefixCache.frozen_tokens`; `fits` is not asked, for
        nothing is read from a file.
        """
        device = images.device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        described = {"prefix": identity, "shape": list(images.shape), "device": str(images.device)}
        pixels = sha256(images.cpu().contiguous().numpy().data).hexdigest()
        key = digest(described | {"precision": str(precision), "pixels": pixels})
        if key in self._known:
            self.found += len(images)
            return self._known[key]
        tokens = compute(images)
        size = sum(part.numel() * part.element_size() for part in tokens)
        if size <= self._free:
            self._known[key] = tokens
            self._free -= size
        return tokens


# Of this process: runs that share their frozen blocks validate on the same images.
BATCH_MEMORY = BatchMemory()
