"""Five small image generators: photographs of scenes in, synthetic pictures of them out.

Each is an autoencoder with its own bottleneck and its own way of sampling up, trained by this
project (`tools/train_generator.py`). What they leave in a picture is what such networks
do leave; nothing is painted on.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from layerfusion.demo.description import described
from layerfusion.errors import UserError

FACTOR = 8  # of down-sampling, from picture to latent
Upsampling = Literal["nearest", "transposed", "shuffle", "bilinear"]
WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
}


@dataclass(frozen=True, kw_only=True)
class DiffusionDesign:
    """A denoiser in the latent space: what it is made of and how it is used."""

    width: int = 64
    blocks: int = 3
    strengths: tuple[float, float] = (0.2, 0.6)  # of the noise, in [0, 1], that a latent gets
    denoising_steps: int = 4


@dataclass(frozen=True, kw_only=True)
class GeneratorDesign:
    """The architecture of one generator; `tools/train_generator.py` says how it is trained.

    The bottleneck is ``posterior`` (a normal distribution is drawn from), ``plain`` (the latent as
    it is) or ``codebook`` (each group of 4 latent channels becomes the nearest of the codes).
    """

    name: str
    upsampling: Upsampling
    bottleneck: Literal["posterior", "plain", "codebook"]
    activation: Literal["silu", "elu", "gelu", "leaky_relu"]
    latent_channels: int
    widths: tuple[int, int, int, int]  # channels at full, half, quarter and eighth resolution
    blocks: int = 1  # residual blocks at half, quarter and eighth resolution
    codes: int = 0  # in each group's codebook
    grain: bool = False  # noise of learned strength in the last features (Karras et al., 2019)
    diffusion: DiffusionDesign | None = None


GENERATORS = {design.name: design for design in described("generators", GeneratorDesign)}


class Generator(nn.Module):
    """Encoder, bottleneck, decoder and, in latent diffusion, a denoiser between the latter two.

    Get a trained one from `load_generator`. Networks see pictures as float32 of shape
    (batch, 3, h, w) in [-1, 1], h and w multiples of 8.

    Parameters
    ----------
    initialise
        Is given the autoencoder to draw its weights, if they are not to be loaded.
    """

    def __init__(
        self, design: GeneratorDesign, initialise: Callable[["Generator"], None] | None = None
    ) -> None:
        super().__init__()
        self.design = design
        statistics = 2 if design.bottleneck == "posterior" else 1  # mean and log variance, or h
        self.encoder = build_encoder(design, statistics * design.latent_channels)
        self.decoder = build_decoder(design)
        full = design.widths[0]
        self.grain = nn.Parameter(torch.full((1, full, 1, 1), 0.1)) if design.grain else None
        rgb = nn.Conv2d(full, 3, 3, padding=1)
        self.to_rgb = nn.Sequential(ACTIVATIONS[design.activation](), rgb)
        if initialise is not None:
            initialise(self)
        self.codebook = Codebook(design) if design.bottleneck == "codebook" else None
        self.diffusion = LatentDiffusion(design) if design.diffusion else None
        # oneDNN's layout: with few channels convolutions are up to twice as fast in it.
        self.to(memory_format=torch.channels_last)

    def generate(self, pictures: NDArray[np.uint8], *, seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Make a synthetic picture of each photograph.

        Each picture goes through the network alone, on one thread, with its own stream of random
        numbers: the result does not depend on the batch, on the order or on the number of threads.

        Parameters
        ----------
        pictures
            uint8 RGB, shape (batch, h, w, 3), h and w multiples of 8.
        seeds
            One integer in [0, 2**32) a picture. ``vq-bilinear`` draws nothing with it.

        Returns
        -------
        NDArray
            uint8 RGB, shape (batch, h, w, 3).
        """
        made = []
        with torch.inference_mode(), one_thread():
            for picture, seed in zip(pictures, seeds, strict=True):
                noise = torch.Generator().manual_seed(seed)
                latent = self.draw_latent(to_network(torch.tensor(picture[None])), noise)
                made.append(from_network(self.decode(latent, noise)))
        return torch.cat(made).numpy()

    def draw_latent(self, x: Tensor, noise: torch.Generator) -> Tensor:
        """Return what the decoder is given, shape (batch, latent_channels, h / 8, w / 8)."""
        if self.codebook is not None:
            return self.codebook.quantise(self.encoder(x))
        if self.design.bottleneck == "plain":
            latent: Tensor = self.encoder(x)
            return latent
        drawn = draw_posterior(*self.posterior(x), noise)
        return drawn if self.diffusion is None else self.diffusion.regenerate(drawn, noise)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z|x), each (batch, latent_channels, h / 8, w / 8)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)

    def decode(self, latent: Tensor, noise: torch.Generator) -> Tensor:
        """Return pictures, not yet clipped to [-1, 1], of latents."""
        features: Tensor = self.decoder(latent)
        if self.grain is not None:
            batch, _, height, width = features.shape
            features = features + self.grain * torch.randn(batch, 1, height, width, generator=noise)
        pictures: Tensor = self.to_rgb(features)
        return pictures


def build_encoder(design: GeneratorDesign, channels: int) -> nn.Sequential:
    """Three strided convolutions, residual blocks after the second and third; `channels` out."""
    activation = ACTIVATIONS[design.activation]
    _, half, quarter, eighth = design.widths
    return nn.Sequential(
        nn.Conv2d(3, half, 4, stride=2, padding=1),
        activation(),
        nn.Conv2d(half, quarter, 4, stride=2, padding=1),
        *(ResidualBlock(quarter, activation) for _ in range(design.blocks)),
        nn.Conv2d(quarter, eighth, 4, stride=2, padding=1),
        *(ResidualBlock(eighth, activation) for _ in range(design.blocks)),
        activation(),
        nn.Conv2d(eighth, channels, 1),
    )


def build_decoder(design: GeneratorDesign) -> nn.Sequential:
    """Three times residual blocks and sampling up by 2; features of full resolution come out."""
    activation = ACTIVATIONS[design.activation]
    full, half, quarter, eighth = design.widths
    layers: list[nn.Module] = [nn.Conv2d(design.latent_channels, eighth, 3, padding=1)]
    for inner, outer in ((eighth, quarter), (quarter, half), (half, full)):
        layers += [ResidualBlock(inner, activation) for _ in range(design.blocks)]
        layers += [activation(), *upsampling(design.upsampling, inner, outer)]
    return nn.Sequential(*layers)


def upsampling(kind: Upsampling, inner: int, outer: int) -> list[nn.Module]:
    """Return layers from (batch, inner, h, w) to (batch, outer, 2 h, 2 w).

    The transposed kernel of 3 is no multiple of its stride of 2, so that it overlaps unevenly: the
    checkerboard of Odena et al. (2016). Shuffling is Shi et al.'s sub-pixel convolution (2016).
    """
    if kind == "transposed":
        return [nn.ConvTranspose2d(inner, outer, 3, stride=2, padding=1, output_padding=1)]
    if kind == "shuffle":
        return [nn.Conv2d(inner, 4 * outer, 3, padding=1), nn.PixelShuffle(2)]
    return [nn.Upsample(scale_factor=2, mode=kind), nn.Conv2d(inner, outer, 3, padding=1)]


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))) for x of shape (batch, width, h, w)."""

    def __init__(self, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            activation(),
            nn.Conv2d(width, width, 3, padding=1),
            activation(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of x's shape."""
        total: Tensor = x + self.branch(x)
        return total


def draw_posterior(mean: Tensor, log_variance: Tensor, noise: torch.Generator) -> Tensor:
    """Draw z = mean + std * epsilon (Kingma and Welling, 2014), all of one shape."""
    return mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=noise)


class Codebook(nn.Module):
    """Vector quantisation (van den Oord et al., 2017), a codebook for each 4 latent channels."""

    GROUP = 4

    def __init__(self, design: GeneratorDesign) -> None:
        super().__init__()
        groups = design.latent_channels // self.GROUP
        self.codes = nn.Parameter(torch.randn(groups, design.codes, self.GROUP))

    def vectors(self, z: Tensor) -> Tensor:
        """Cut latents (batch, channels, h, w) into vectors (groups, batch * h * w, 4)."""
        return z.permute(1, 0, 2, 3).reshape(len(self.codes), self.GROUP, -1).transpose(1, 2)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the index of each vector's nearest code, int64, shape (groups, vectors)."""
        codes = self.codes
        # |v - c|^2 without |v|^2, which is the same for all codes.
        return (codes.square().sum(2)[:, None] - 2 * vectors @ codes.transpose(1, 2)).argmin(2)

    def quantise(self, z: Tensor) -> Tensor:
        """Replace each vector of z, (batch, channels, h, w), by its nearest code."""
        chosen = self.nearest(self.vectors(z))
        found = torch.stack([codes[index] for codes, index in zip(self.codes, chosen, strict=True)])
        batch, channels, height, width = z.shape
        return found.transpose(1, 2).reshape(channels, batch, height, width).permute(1, 0, 2, 3)


class LatentDiffusion(nn.Module):
    r"""Noise a latent and denoise it again, as SDEdit does (Meng et al., 2022).

    With :math:`\alpha_t = \cos(\pi t / 2)`, :math:`\sigma_t = \sin(\pi t / 2)` and
    :math:`z_t = \alpha_t z + \sigma_t \epsilon`, the denoiser predicts
    :math:`v = \alpha_t \epsilon - \sigma_t z` (Salimans and Ho, 2022), from which
    :math:`z = \alpha_t z_t - \sigma_t v` and :math:`\epsilon = \sigma_t z_t + \alpha_t v`.
    The steps are DDIM's (Song et al., 2021), without fresh noise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, design: GeneratorDesign) -> None:
        super().__init__()
        assert design.diffusion is not None
        self.design = design.diffusion
        self.denoiser = Denoiser(
            channels=design.latent_channels, width=self.design.width, blocks=self.design.blocks
        )
        shape = (1, design.latent_channels, 1, 1)
        self.register_buffer("mean", torch.zeros(shape))  # of the training latents, by channel
        self.register_buffer("std", torch.ones(shape))

    def regenerate(self, latent: Tensor, noise: torch.Generator) -> Tensor:
        """Noise latents (batch, channels, h, w) to a drawn strength t, and denoise them."""
        low, high = self.design.strengths
        t = low + (high - low) * torch.rand((), generator=noise)
        z = (latent - self.mean) / self.std
        noised = noised_latent(z, torch.randn(z.shape, generator=noise), t)
        return self.denoise(noised, t) * self.std + self.mean

    def denoise(self, z: Tensor, t: Tensor) -> Tensor:
        """Go from noise level t, shape (), to 0 in equal steps; z is (batch, channels, h, w)."""
        levels = t * torch.linspace(1, 0, self.design.denoising_steps + 1)
        for now, then in pairwise(levels):
            v = self.denoiser(z, now.expand(len(z)))
            alpha, sigma = signal_and_noise(now)
            z = noised_latent(alpha * z - sigma * v, sigma * z + alpha * v, then)
        return z


def signal_and_noise(t: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of the cosine schedule at t in [0, 1], each of t's shape."""
    return torch.cos(t * (math.pi / 2)), torch.sin(t * (math.pi / 2))


def noised_latent(z: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """Return alpha z + sigma epsilon; t is () or, as z, of 4 dimensions."""
    alpha, sigma = signal_and_noise(t)
    return alpha * z + sigma * epsilon


class Denoiser(nn.Module):
    """A residual convolutional network that is told the noise level by scale and shift (FiLM)."""

    FREQUENCIES = 8

    def __init__(self, *, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(width, nn.SiLU) for _ in range(blocks))
        self.levels = nn.ModuleList(
            nn.Linear(2 * self.FREQUENCIES, 2 * width) for _ in range(blocks)
        )
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """Return v, of z's shape (batch, channels, h, w), for noise levels t (batch,)."""
        angles = t[:, None] * math.pi * torch.arange(1, self.FREQUENCIES + 1)
        embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
        h = self.stem(z)
        for block, level in zip(self.blocks, self.levels, strict=True):
            scale, shift = level(embedding)[:, :, None, None].chunk(2, dim=1)
            h = block(h * (1 + scale) + shift)
        v: Tensor = self.head(F.silu(h))
        return v


def load_generator(name: str) -> Generator:
    """Read a trained generator; its weights are stored as float16 and computed with as float32.

    Raises
    ------
    UserError
        If its file is missing, damaged or another's.
    """
    path = WEIGHTS_FOLDER / f"{name}.safetensors"
    with torch.random.fork_rng(devices=[]):  # what is drawn here is replaced
        generator = Generator(GENERATORS[name])
    try:
        generator.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError):  # torch lists every tensor, over many lines
        raise UserError(
            f"{path} is missing, damaged or of another design; train it again with "
            f"`python tools/train_generator.py {name}`"
        ) from None
    return generator.eval().requires_grad_(False)


def to_network(pictures: Tensor) -> Tensor:
    """Turn uint8 (batch, h, w, 3) into float32 (batch, 3, h, w) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def from_network(x: Tensor) -> Tensor:
    """Turn float32 (batch, 3, h, w) into uint8 (batch, h, w, 3), clipping to [-1, 1]."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute on one thread, so that sums are taken in one order, while it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
