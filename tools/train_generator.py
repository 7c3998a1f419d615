"""Train a generator of the demo world: pictures, losses, loop and the file that is shipped.

Everything that a training depends on is in its design, its `GeneratorTraining` and the seed. On one
machine the same three give the same weights, bit for bit.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from layerfusion.arithmetic import deterministic
from layerfusion.demo.cameras import CAMERAS, photograph
from layerfusion.demo.generators import (
    GENERATORS,
    WEIGHTS_FOLDER,
    Codebook,
    Generator,
    GeneratorDesign,
    LatentDiffusion,
    ResidualBlock,
    draw_posterior,
    noised_latent,
    one_thread,
    signal_and_noise,
    to_network,
)
from layerfusion.demo.rendering import render
from layerfusion.demo.scenes import draw_scene
from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.paths import shown
from layerfusion.progress import Reporter

PHOTOGRAPHS = 3000
SIDE = 128  # px
STREAM = 0x67656E  # keeps the scenes that generators learn from apart from all others

WARM_UP = 100  # steps
REVIVAL = 100  # steps from one to the next
Progress = Callable[[int, int], object]  # is told steps done and steps in all


@dataclass(frozen=True, kw_only=True)
class GeneratorTraining:
    """The losses and the training of one generator."""

    coarse_weight: float = 1.0  # of 8 x 8 px means, beside the pixels' own loss, which weighs 1
    gradient_weight: float = 0.5
    texture_weight: float = 0.0
    bottleneck_weight: float = 0.0  # of the KL divergence or the codebook loss
    adversarial_weight: float = 0.0
    adversarial_start: float = 0.3  # the part of the training that is done without adversary
    steps: int = 2500
    batch: int = 8
    crop: int = 64  # px
    learning_rate: float = 2e-3
    denoiser_steps: int = 0
    denoiser_batch: int = 16
    denoiser_learning_rate: float = 1e-3


TRAININGS: dict[str, GeneratorTraining] = {
    "latent-diffusion": GeneratorTraining(bottleneck_weight=1e-3, denoiser_steps=2500),
    "vae-transposed": GeneratorTraining(bottleneck_weight=1e-3),
    "vae-nearest": GeneratorTraining(bottleneck_weight=1e-3),
    "gan-shuffle": GeneratorTraining(
        gradient_weight=0.3, texture_weight=0.5, adversarial_weight=0.05
    ),
    "vq-bilinear": GeneratorTraining(bottleneck_weight=0.25),
}


@dataclass(frozen=True)
class TrainedGenerator:
    """A trained generator and how it came about.

    Attributes
    ----------
    losses
        By stage ("autoencoder", "denoiser"), one number a step: the error of the reconstruction
        without the other terms, and the denoiser's squared error.
    """

    generator: Generator
    training: GeneratorTraining
    seed: int
    losses: dict[str, list[float]]


def train_and_save(
    name: str, *, seed: int = 0, folder: Path = WEIGHTS_FOLDER, reporter: Reporter | None = None
) -> Path:
    """Train a generator on photographs of scenes and write its weights; return their path.

    Raises
    ------
    UserError
        If the loss is no longer a number.
    """
    design, training = GENERATORS[name], TRAININGS[name]
    photographs = training_photographs(PHOTOGRAPHS, side=SIDE, seed=seed)
    with (reporter or Reporter()).bar(f"training {name}", total_steps(training)) as bar:
        trained = train_generator(
            design, training, photographs=photographs, seed=seed, progress=bar
        )
    return save_generator(trained, folder)


def training_photographs(count: int, *, side: int, seed: int) -> NDArray[np.uint8]:
    """Draw scenes and photograph each with a camera drawn for it, before JPEG.

    Returns
    -------
    NDArray
        uint8 RGB, shape (count, side, side, 3); the first n do not depend on `count`.
    """
    photographs = np.empty((count, side, side, 3), dtype=np.uint8)
    for index in range(count):
        rng = np.random.default_rng([STREAM, seed, index])
        light = render(draw_scene(rng), side, side)
        photographs[index] = photograph(light, CAMERAS[rng.integers(len(CAMERAS))], rng)
    return photographs


def total_steps(training: GeneratorTraining) -> int:
    """Return the number of steps of both stages of a training."""
    return training.steps + training.denoiser_steps


def train_generator(
    design: GeneratorDesign,
    training: GeneratorTraining,
    *,
    photographs: NDArray[np.uint8],
    seed: int,
    progress: Progress | None = None,
) -> TrainedGenerator:
    """Train the autoencoder and then, where the design has one, the denoiser of its latents.

    It runs on one thread, whatever torch is set to, so that it can be repeated bit for bit.

    Parameters
    ----------
    photographs
        uint8 RGB, shape (count, h, w, 3), h and w multiples of 8 and not less than the crop.

    Raises
    ------
    UserError
        If the loss is no longer a number.
    """
    pool, total = torch.from_numpy(photographs), total_steps(training)
    noise = torch.Generator().manual_seed(seed)
    tell = progress or (lambda done, total: None)
    with deterministic(), one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initial weights come from torch's own stream, all else from noise
        generator = Generator(design, initialise)
        losses = {
            "autoencoder": train_autoencoder(
                generator, training, pool, noise, lambda n: tell(n, total)
            )
        }
        if generator.diffusion is not None:
            latents = encode(generator, pool)
            losses["denoiser"] = train_denoiser(
                generator.diffusion,
                training,
                latents,
                noise,
                lambda n: tell(training.steps + n, total),
            )
    return TrainedGenerator(generator.eval().requires_grad_(False), training, seed, losses)


def train_autoencoder(
    generator: Generator,
    training: GeneratorTraining,
    photographs: Tensor,
    noise: torch.Generator,
    tell: Callable[[int], object],
) -> list[float]:
    """Train encoder, bottleneck and decoder; return the reconstruction error of every step.

    The loss is `reconstruction_error` + bottleneck_weight * (KL or codebook loss)
    + adversarial_weight * adversarial, the last after the part of steps that the design says.
    """
    name, codebook = generator.design.name, generator.codebook
    trained = [p for n, p in generator.named_parameters() if not n.startswith("diffusion.")]
    optimizer = Adam(trained, training.learning_rate)
    schedule = cosine_schedule(optimizer, training.steps)
    adversary = Adversary(training) if training.adversarial_weight else None
    errors: list[float] = []
    for step in range(training.steps):
        x = draw_crops(photographs, training, noise)
        if codebook is not None and step % REVIVAL == 0 and step <= 0.8 * training.steps:
            revive(codebook, generator.encoder(x), noise)
        made, bottleneck_loss = reconstruct(generator, x, noise)
        error = reconstruction_error(made, x, training)
        loss = error + training.bottleneck_weight * bottleneck_loss
        attacked = adversary is not None and step >= training.adversarial_start * training.steps
        if adversary is not None and attacked:
            loss = loss + training.adversarial_weight * adversary.fooled(made)
        errors.append(_finite(error.item(), name, step))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if adversary is not None and attacked:
            adversary.learn(photographs=x, made=made.detach())
        tell(step + 1)
    return errors


def train_denoiser(
    diffusion: LatentDiffusion,
    training: GeneratorTraining,
    latents: Tensor,
    noise: torch.Generator,
    tell: Callable[[int], object],
) -> list[float]:
    """Fit v on latents, (count, channels, h, w), noised by t ~ U(0, highest strength).

    Returns the mean squared error of every step; latents are first brought to mean 0 and standard
    deviation 1 in each channel, by statistics that become part of the module.
    """
    diffusion.mean.copy_(latents.mean(dim=(0, 2, 3), keepdim=True))
    diffusion.std.copy_(latents.std(dim=(0, 2, 3), keepdim=True))
    normal = (latents - diffusion.mean) / diffusion.std
    optimizer = Adam(diffusion.denoiser.parameters(), training.denoiser_learning_rate)
    schedule = cosine_schedule(optimizer, training.denoiser_steps)
    errors: list[float] = []
    for step in range(training.denoiser_steps):
        z = normal[torch.randint(len(normal), (training.denoiser_batch,), generator=noise)]
        epsilon = torch.randn(z.shape, generator=noise)
        t = diffusion.design.strengths[1] * torch.rand(len(z), 1, 1, 1, generator=noise)
        alpha, sigma = signal_and_noise(t)
        v = diffusion.denoiser(noised_latent(z, epsilon, t), t.flatten())
        loss = F.mse_loss(v, alpha * epsilon - sigma * z)
        errors.append(_finite(loss.item(), "the denoiser", step))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        tell(step + 1)
    return errors


def initialise(generator: Generator) -> None:
    """Draw an autoencoder's weights."""
    generator.apply(keep_variance)
    rgb = cast(nn.Conv2d, generator.to_rgb[-1])
    nn.init.normal_(rgb.weight, std=0.02)  # pictures begin as grey
    if generator.design.bottleneck == "posterior":
        begin_certain(generator.encoder, generator.design.latent_channels)


def keep_variance(layer: nn.Module) -> None:
    """Draw a convolution's weights so that variances pass an activation and it (He et al., 2015).

    Torch's own start shrinks them 6 times a layer; colours are then lost between pictures and
    latents for thousands of steps.
    """
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight)
    elif isinstance(layer, nn.ConvTranspose2d):
        inner, _, height, width = layer.weight.shape
        stride, _ = layer.stride
        fan_in = inner * height * width / stride**2
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
    elif isinstance(layer, ResidualBlock):  # comes after its convolutions
        nn.init.zeros_(cast(nn.Conv2d, layer.branch[-1]).weight)


def begin_certain(encoder: nn.Sequential, latent_channels: int) -> None:
    """Have the encoder give every log variance as -6 at first.

    With variances of 1 a latent would drown in its noise before anything of it is learned.
    """
    last = cast(nn.Conv2d, encoder[-1])
    nn.init.zeros_(last.weight[latent_channels:])
    nn.init.constant_(cast(Tensor, last.bias)[latent_channels:], -6.0)


def reconstruct(generator: Generator, x: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Encode and decode a batch (batch, 3, h, w) without the denoiser, with gradients.

    Returns the pictures, of x's shape, and the bottleneck's loss, shape ().
    """
    if generator.codebook is not None:
        latent, loss = straight_through(generator.codebook, generator.encoder(x))
    elif generator.design.bottleneck == "posterior":
        mean, log_variance = generator.posterior(x)
        latent = draw_posterior(mean, log_variance, noise)
        loss = kl_divergence(mean, log_variance)
    else:
        latent, loss = generator.encoder(x), torch.zeros(())
    return generator.decode(latent, noise), loss


def straight_through(codebook: Codebook, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes that pass z's gradient straight through, and codebook + commitment loss."""
    quantised = codebook.quantise(z)
    loss = F.mse_loss(quantised, z.detach()) + 0.25 * F.mse_loss(z, quantised.detach())
    return z + (quantised - z).detach(), loss


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of N(mean, variance) from N(0, 1), the mean over elements, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def encode(generator: Generator, photographs: Tensor) -> Tensor:
    """Return the posterior means (count, channels, h / 8, w / 8) of uint8 (count, h, w, 3)."""
    with torch.no_grad():
        means = [generator.posterior(to_network(part))[0] for part in torch.split(photographs, 16)]
    return torch.cat(means)


def draw_crops(photographs: Tensor, training: GeneratorTraining, noise: torch.Generator) -> Tensor:
    """Cut a square at random from randomly drawn photographs, and mirror every other one.

    Returns float32 (batch, 3, crop, crop) in [-1, 1] of photographs uint8 (count, h, w, 3).
    """
    count, height, width, _ = photographs.shape
    side = training.crop
    crops = []
    for _ in range(training.batch):
        index, top, left = (
            int(torch.randint(bound, (), generator=noise))
            for bound in (count, height - side + 1, width - side + 1)
        )
        crop = photographs[index, top : top + side, left : left + side]
        crops.append(crop.flip(1) if torch.rand((), generator=noise) < 0.5 else crop)
    return to_network(torch.stack(crops))


def reconstruction_error(made: Tensor, wanted: Tensor, training: GeneratorTraining) -> Tensor:
    """Return the weighted sum of four errors of pictures (batch, 3, h, w), each an L1 distance.

    Of the pixels; of 8 x 8 px means, which are nearly free of noise and teach colours early; of
    gradients, which keeps edges; and of the gradients' strength in 8 x 8 px whatever their sign
    and place, which has texture made up where it cannot be remembered.
    """
    coarse = charbonnier(F.avg_pool2d(made, 8), F.avg_pool2d(wanted, 8))
    gradients = gradient_error(made, wanted)
    fine = charbonnier(made, wanted)
    return (
        fine
        + training.coarse_weight * coarse
        + training.gradient_weight * gradients
        + training.texture_weight * texture_error(made, wanted)
    )


def charbonnier(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of sqrt(d^2 + 0.01^2), L1 with a smooth foot (Charbonnier et al., 1994)."""
    return ((made - wanted).square() + 1e-4).sqrt().mean()


def gradient_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute error of the differences of neighbours, across and down."""
    difference = made - wanted
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


def texture_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of `texture_strength`."""
    return (texture_strength(made) - texture_strength(wanted)).abs().mean()


def texture_strength(x: Tensor) -> Tensor:
    """Return the mean of |difference of neighbours| in 8 x 8 px, (batch, 6, h / 8, w / 8)."""
    across = F.pad(x.diff(dim=3).abs(), (0, 1, 0, 0))
    down = F.pad(x.diff(dim=2).abs(), (0, 0, 0, 1))
    return F.avg_pool2d(torch.cat([across, down], dim=1), 8)


class Adversary:
    """A patch discriminator (Isola et al., 2017) with the hinge loss; it is not shipped.

    Its convolutions are spectrally normalised (Miyato et al., 2018), so that its gradients stay
    bounded when it wins.
    """

    def __init__(self, training: GeneratorTraining) -> None:
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(3, 16, 3, padding=1))]
        for inner, outer in ((16, 48), (48, 96)):
            layers += [nn.LeakyReLU(0.2)]
            layers += [spectral_norm(nn.Conv2d(inner, outer, 4, stride=2, padding=1))]
        layers += [nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(96, 1, 3, padding=1))]
        self.network = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.optimizer = Adam(self.network.parameters(), 0.5 * training.learning_rate, (0.5, 0.9))

    def fooled(self, made: Tensor) -> Tensor:
        """Return the generator's loss: how synthetic its pictures (batch, 3, h, w) look."""
        loss: Tensor = -self.network(made).mean()
        return loss

    def learn(self, *, photographs: Tensor, made: Tensor) -> None:
        """Take one step towards telling photographs from made pictures, both (batch, 3, h, w)."""
        real, synthetic = self.network(torch.cat([photographs, made])).chunk(2)
        loss = F.relu(1 - real).mean() + F.relu(1 + synthetic).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


@torch.no_grad()
def revive(codebook: Codebook, latents: Tensor, noise: torch.Generator) -> None:
    """Replace codes that no vector of the latents is nearest to by vectors drawn from them.

    At the first step this is what makes the codebook; later it keeps codes from dying out.
    """
    vectors = codebook.vectors(latents)
    for codes, candidates, used in zip(
        codebook.codes, vectors, codebook.nearest(vectors), strict=True
    ):
        dead = torch.ones(len(codes), dtype=torch.bool)
        dead[used] = False
        drawn = torch.randint(len(candidates), (int(dead.sum()),), generator=noise)
        codes[dead] = candidates[drawn]


def cosine_schedule(optimizer: Optimizer, steps: int) -> LambdaLR:
    """Raise the learning rate over the first steps, then lower it to 0 along a half cosine."""

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))

    return LambdaLR(optimizer, factor)


def save_generator(trained: TrainedGenerator, folder: Path) -> Path:
    """Write the weights as float16, with where they come from; return the file's path.

    The file is complete or it is the former one: it is written beside its place, then renamed.
    """
    design = trained.generator.design
    path = folder / f"{design.name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "name": design.name,
        "seed": str(trained.seed),
        "steps": str(total_steps(trained.training)),
        "final_losses": json.dumps(
            {stage: round(float(np.mean(loss[-100:])), 5) for stage, loss in trained.losses.items()}
        ),
    }
    tensors = trained.generator.state_dict()
    half = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    with in_place_of(path) as partial:
        save_file(half, partial, metadata=metadata)
    return path


def _finite(value: float, what: str, step: int) -> float:
    if not math.isfinite(value):
        raise UserError(f"the loss of {what} is {value} at step {step + 1}; lower learning_rate")
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Train generators and replace the package's own weights of them."""
    parser = argparse.ArgumentParser(
        description="Train the generators of the demo's synthetic pictures: minutes each."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="All of them unless named.")
    names = parser.parse_args(arguments).names or list(GENERATORS)
    for name in names:
        if name not in GENERATORS:  # an error before any other has trained for minutes
            known = ", ".join(GENERATORS)
            raise UserError(f"there is no generator '{name}'; choose one of {known}")
    for name in names:
        print(f"generator: {shown(train_and_save(name, reporter=Reporter()))}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
