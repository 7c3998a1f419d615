"""The detector as one would write it at first: a hook on every block of the whole CLIP model.

What it computes is what `layerfusion` computes: same logits, same step. All of CLIP is in memory,
and an image passes all of its visual tower, to the embedding that nobody reads.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


class HookedDetector(nn.Module):
    """Class tokens of every block, by hooks, into a head."""

    def __init__(self, clip: nn.Module, head: nn.Module, trained_blocks: int) -> None:
        super().__init__()
        self.clip, self.head = clip, head
        self.tokens: list[Tensor] = []
        clip.requires_grad_(False)
        blocks = clip.visual.transformer.resblocks
        for block in blocks:
            block.register_forward_hook(self._keep)
        for block in blocks[len(blocks) - trained_blocks :]:
            block.requires_grad_(True)

    def _keep(self, block: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        self.tokens.append(result[:, 0])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n,) of normalised images, float (n, 3, side, side)."""
        self.tokens = []
        self.clip.encode_image(images)
        return torch.as_tensor(self.head(torch.stack(self.tokens, dim=1)))


def optimizer(model: HookedDetector, head_rate: float, block_rate: float) -> torch.optim.Optimizer:
    """Return AdamW over what is trained."""
    blocks = [value for value in model.clip.parameters() if value.requires_grad]
    groups = [
        {"params": list(model.head.parameters()), "lr": head_rate},
        {"params": blocks, "lr": block_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=1e-4)


def step(
    model: HookedDetector, adam: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> None:
    """Take one step of training."""
    adam.zero_grad()
    binary_cross_entropy_with_logits(model(images), labels).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adam.step()
