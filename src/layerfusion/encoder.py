"""The visual encoder: the class token h_l(x) after every block of an OpenCLIP ViT (section 2)."""

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from layerfusion.errors import UserError


class ClassTokenEncoder(nn.Module):
    """Read the class token after every residual block of an OpenCLIP visual tower.

    The last `trained_blocks` blocks are fine-tuned; everything before them is frozen, kept in
    evaluation mode and run without a graph. The token is the residual stream itself, before
    ``ln_post``: that layer and the output projection stay frozen, for no gradient reaches them.

    Parameters
    ----------
    visual
        An OpenCLIP ``VisionTransformer`` (see `layerfusion.weights.build_tower`).
    trained_blocks
        How many of the last blocks receive gradients.

    Raises
    ------
    UserError
        If the tower is not a vision transformer or has fewer blocks than `trained_blocks`.
    """

    def __init__(self, visual: nn.Module, *, trained_blocks: int = 2) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer):
            raise UserError(
                f"the visual tower is a {type(visual).__name__}, but class tokens of every block "
                "can be read from an OpenCLIP VisionTransformer only; choose a ViT such as ViT-L-14"
            )
        self.visual = visual
        self.depth = len(visual.transformer.resblocks)
        self.width = int(visual.transformer.width)
        self.image_size = int(visual.image_size[0])
        if trained_blocks > self.depth:
            raise UserError(
                f"encoder.trained_blocks is {trained_blocks}, but the tower has {self.depth} blocks"
            )
        self.trained_blocks = trained_blocks
        self.requires_grad_(False)
        for block in self._split()[1]:
            block.requires_grad_(True)

    def _split(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        blocks = self.visual.transformer.resblocks
        first_trained = self.depth - self.trained_blocks
        return blocks[:first_trained], blocks[first_trained:]

    def train(self, mode: bool = True) -> "ClassTokenEncoder":
        """Switch the trained blocks; the frozen part never leaves evaluation mode."""
        super().train(mode)
        self.visual.eval()
        self._split()[1].train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return h, shape (batch, blocks, width), float32, block 1 first.

        Parameters
        ----------
        images
            Shape (batch, 3, image_size, image_size), float, normalised as the weights were trained.
        """
        frozen, trained = self._split()
        class_tokens = []
        with torch.no_grad():
            tokens = self.visual._embeds(images)
            for block in frozen:
                tokens = block(tokens)
                class_tokens.append(tokens[:, 0].float())
        for block in trained:
            tokens = block(tokens)
            class_tokens.append(tokens[:, 0].float())
        return torch.stack(class_tokens, dim=1)
