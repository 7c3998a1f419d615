"""Vision towers as this package reads them: after every block, what it knows of an image.

Three kinds go in: OpenCLIP's, which can be cut between any two blocks; timm's, by
``forward_intermediates``; and a user's own. The rest of the package knows a `Tower` and nothing
else of whichever library made it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from layerfusion.errors import UserError
from layerfusion.settings import LastBlock, Tokens


class FrozenTokens(NamedTuple):
    """What the frozen blocks make of a batch of images: all that the trained ones need.

    Attributes
    ----------
    class_tokens
        Shape (batch, frozen blocks, width): the class token after each frozen block, or the mean of
        its patch tokens where that is what is read.
    tokens
        Where the tower goes on: shape (batch, tokens, width), the residual stream after the last
        frozen block, class token first; (batch, 0, width) where no block is trained and nothing
        reads it. Of a tower that cannot be cut: the images themselves, and no class tokens.
    """

    class_tokens: Tensor
    tokens: Tensor


class Tower(ABC):
    """A vision transformer of any library.

    Attributes
    ----------
    visual
        The module, whose parameters are the tower's.
    blocks
        Its blocks in their order; their number is the tower's depth.
    width
        Length of a token, the same after every block.
    image_size
        Side of the square images that it takes, px.
    has_class_token
        Whether a class token can be read; the mean of the patch tokens always can.
    can_be_cut
        Whether what frozen blocks computed can be kept where others are trained.
    """

    visual: Any
    blocks: Sequence[nn.Module]
    width: int
    image_size: int
    has_class_token: bool = True
    can_be_cut: bool = False

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @abstractmethod
    def tokens(self, images: Tensor, which: Tokens) -> Iterator[Tensor]:
        """Yield what is read of each block, (batch, width), of normalised float images."""

    def prefix(self, images: Tensor, frozen: int, which: Tokens) -> FrozenTokens:
        """Return what the first `frozen` blocks make of images."""
        none = images.new_empty(len(images), 0, self.width)
        if frozen < self.depth:
            return FrozenTokens(none, images)
        return FrozenTokens(torch.stack([*self.tokens(images, which)], dim=1), none)

    def suffix(
        self, tokens: Tensor, frozen: int, which: Tokens, last_block: LastBlock
    ) -> list[Tensor]:
        """Return what is read of each block that `prefix` left out, (batch, width) each.

        `last_block` of ``class_token`` spares what else the last one would compute, where a tower
        can.
        """
        return [] if frozen == self.depth else [*self.tokens(tokens, which)]

    def final(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last block's token after the tower's last layer norm, and the tower's output.

        Where a tower has no projection both are the same.
        """
        return last, last

    def compute_in_bfloat16(self, frozen: int) -> None:
        """Round the weights of the first `frozen` blocks, and of what comes before, to bfloat16.

        Raises
        ------
        UserError
            If the others are to be trained and the tower cannot be cut.
        """
        if frozen < self.depth:
            raise UserError(
                f"a {type(self.visual).__name__} is computed as a whole, so that its first blocks "
                "cannot have another precision than the trained ones; set "
                "encoder.prefix_precision=float32 or encoder.trained_blocks=0"
            )
        self.visual.bfloat16()


class OpenClipTower(Tower):
    """OpenCLIP's own vision transformer."""

    can_be_cut = True

    def __init__(self, visual: VisionTransformer) -> None:
        self.visual = visual
        self.blocks = list(visual.transformer.resblocks)
        self.width = int(visual.transformer.width)
        self.image_size = int(visual.image_size[0])

    def tokens(self, images: Tensor, which: Tokens) -> Iterator[Tensor]:
        """Yield what is read of each block."""
        yield from self._through(self.visual._embeds(images), self.blocks, which)[0]

    def prefix(self, images: Tensor, frozen: int, which: Tokens) -> FrozenTokens:
        """Return what is read of the frozen blocks, and the stream after them."""
        stream: Tensor = self.visual._embeds(images)
        read, stream = self._through(stream, self.blocks[:frozen], which)
        none = stream.new_empty(len(images), 0, self.width)
        return FrozenTokens(
            torch.stack(read, dim=1) if read else none,
            stream if frozen < self.depth else stream[:, :0],
        )

    def suffix(
        self, tokens: Tensor, frozen: int, which: Tokens, last_block: LastBlock
    ) -> list[Tensor]:
        """Return what is read of the trained blocks, of the stream before them."""
        blocks = [*self.blocks[frozen:]]
        spared = blocks.pop() if blocks and last_block == "class_token" else None
        read, tokens = self._through(tokens, blocks, which)
        return read if spared is None else [*read, class_token_after(spared, tokens)]

    def final(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the token after ``ln_post``, and that times the output projection, if any.

        Raises
        ------
        UserError
            If the tower makes its output of anything but the class token.
        """
        visual = self.visual
        if visual.pool_type != "tok" or visual.attn_pool is not None:
            raise UserError(
                "the output of this tower is not made of its class token, which baselines read; "
                "choose a model that pools by its class token, such as ViT-L-14"
            )
        normed = visual.ln_post(last.to(visual.ln_post.weight.dtype))
        return normed, normed if visual.proj is None else normed @ visual.proj

    def compute_in_bfloat16(self, frozen: int) -> None:
        """Round what lies before the trained blocks."""
        visual = self.visual
        for part in (visual.conv1, visual.ln_pre, *self.blocks[:frozen]):
            part.bfloat16()
        for embedding in (visual.class_embedding, visual.positional_embedding):
            embedding.data = embedding.data.bfloat16()

    @staticmethod
    def _through(
        stream: Tensor, blocks: Sequence[nn.Module], which: Tokens
    ) -> tuple[list[Tensor], Tensor]:
        read = []
        for block in blocks:
            stream = block(stream)
            read.append(stream[:, 0] if which == "class" else stream[:, 1:].mean(dim=1))
        return read, stream


class TimmTower(Tower):
    """A vision transformer of timm's: ViT, DINOv2 and v3, SigLIP, Perception Encoder, EVA, BEiT."""

    def __init__(self, visual: Any) -> None:
        if not hasattr(visual, "num_prefix_tokens") or not hasattr(visual, "blocks"):
            raise UserError(
                f"a {type(visual).__name__} has no blocks of one width, which fusion needs: its "
                "resolution and width change from stage to stage; choose a vision transformer"
            )
        self.visual = visual
        self.blocks = list(visual.blocks)
        self.width = int(visual.embed_dim)
        self.image_size = int(visual.patch_embed.img_size[0])
        self.has_class_token = getattr(visual, "cls_token", None) is not None

    def tokens(self, images: Tensor, which: Tokens) -> Iterator[Tensor]:
        """Yield what is read of each block; register tokens are neither class nor patch tokens."""
        made = self.visual.forward_intermediates(
            images, return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True
        )
        for block in made:
            patches, others = block if isinstance(block, tuple | list) else (block, None)
            yield patches.mean(dim=1) if which == "patches" else others[:, 0]

    def final(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the token after timm's last layer norm; what it pools besides is left out."""
        normed: Tensor = self.visual.norm(last)
        return normed, normed


class OwnTower(Tower):
    """A user's own module, with ``blocks``, ``width``, ``image_size`` and ``tokens(images)``.

    ``tokens`` maps normalised images (batch, 3, s, s) to (batch, blocks, width). Its class may have
    ``mean`` and ``std``, three numbers each, of pixels in 0..1; OpenAI's are taken otherwise.

    Raises
    ------
    UserError
        If it lacks one of these, or what it computes is of another shape or not finite, or no
        gradient reaches its last block.
    """

    def __init__(self, visual: Any) -> None:
        for name in ("blocks", "width", "image_size", "tokens"):
            if not hasattr(visual, name):
                raise UserError(
                    f"{type(visual).__name__} has no '{name}'; a tower needs blocks, width, "
                    "image_size and tokens(images)"
                )
        self.visual, self.blocks = visual, list(visual.blocks)
        self.width, self.image_size = int(visual.width), int(visual.image_size)
        self._try()

    def tokens(self, images: Tensor, which: Tokens) -> Iterator[Tensor]:
        """Yield what the module says of each block."""
        yield from self.visual.tokens(images).unbind(dim=1)

    def _try(self) -> None:
        """Compute two images' tokens once, forwards and back."""
        was, parameters = self.visual.training, list(self.blocks[-1].parameters())
        name, expected = type(self.visual).__name__, (2, self.depth, self.width)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            images = torch.rand(2, 3, self.image_size, self.image_size, device=_device(self.visual))
            made = self.visual.eval().tokens(images)
            if not isinstance(made, Tensor) or tuple(made.shape) != expected:
                found = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
                raise UserError(
                    f"{name}.tokens returned {found} of two images; expected are "
                    f"(batch, blocks, width), {expected}"
                )
            if not made.isfinite().all():
                raise UserError(f"{name}.tokens returned numbers that are not finite")
            some = [p for p in parameters if p.requires_grad]
            reached = made.requires_grad and any(
                grad is not None
                for grad in torch.autograd.grad(made.sum(), some, allow_unused=True)
            ) if some else True  # fmt: skip
        if not reached:
            raise UserError(
                f"no gradient reaches the last block of {name}; leave out no_grad and detach"
            )
        self.visual.train(was)


def tower_of(visual: nn.Module) -> Tower:
    """Return a module as a tower.

    Raises
    ------
    UserError
        If it is none.
    """
    match visual:
        case VisionTransformer():
            return OpenClipTower(visual)
        case TimmModel():
            return TimmTower(visual.trunk)
        case nn.Module() if hasattr(visual, "forward_intermediates"):
            return TimmTower(visual)
        case nn.Module() if hasattr(visual, "tokens"):
            return OwnTower(visual)
    raise UserError(
        f"a {type(visual).__name__} is no tower: choose a vision transformer of OpenCLIP or timm, "
        "or give your own module blocks, width, image_size and tokens(images)"
    )


def class_token_after(block: nn.Module, tokens: Tensor) -> Tensor:
    """Return the class token after a block, computing no other token where that can be spared.

    The class token attends to all tokens, so keys and values are needed of all; the query, the
    output projection and the MLP of the class token alone. That leaves a sixth of the block's
    matrix products, forward and backward, and the result is the block's own up to rounding. A
    block that is not OpenCLIP's plain `ResidualAttentionBlock` is computed as a whole.

    Parameters
    ----------
    block
        A residual block of an OpenCLIP visual tower.
    tokens
        Shape (batch, tokens, width), floating point: the residual stream, class token first.

    Returns
    -------
    Tensor
        Shape (batch, width), of the stream's dtype.
    """
    if not _is_plain(block):
        whole: Tensor = block(tokens)
        return whole[:, 0]
    plain: Any = block
    normed = plain.ln_1(tokens)
    attended, _ = plain.attn(normed[:, :1], normed, normed, need_weights=False)
    token: Tensor = tokens[:, :1] + plain.ls_1(attended)
    token = token + plain.ls_2(plain.mlp(plain.ln_2(token)))
    return token[:, 0]


def _is_plain(block: nn.Module) -> bool:
    # By exact type: what a subclass or a variant adds would be left out without a word.
    return (
        type(block) is ResidualAttentionBlock
        and type(block.attn) is nn.MultiheadAttention
        and block.attn.batch_first
        and not hasattr(block, "ln_1_kv")
    )


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))
