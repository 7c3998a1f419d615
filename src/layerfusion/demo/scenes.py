"""What a picture shows, before any picture is made: scenes as plain data, and their captions."""

from dataclasses import dataclass

import numpy as np

from layerfusion.demo.shapes import SIGNED_DISTANCES
from layerfusion.demo.surfaces import BACKDROPS, COLOURS, GROUNDS, LIGHTS

SHAPES = tuple(SIGNED_DISTANCES)
MATERIALS = ("matte", "glossy", "metal", "wooden", "striped", "dotted", "marble")
NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four"}

# Every word that a caption can hold, in a fixed order: the vocabulary of the demo's text tower.
WORDS = tuple(
    sorted(
        {*COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES), *MATERIALS, *GROUNDS, *BACKDROPS}
        | {*LIGHTS, *NUMBERS.values(), "photo", "of", "and", "on", "before", "in"}
        | {"grainy", "soft", "sharp", "compressed"}
    )
)


@dataclass(frozen=True)
class Thing:
    """One object: `x` and `y` are its foot in shares of width and height, `size` of the height."""

    shape: str
    colour: str
    material: str
    x: float
    y: float
    size: float
    tilt: float
    tint: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """Things on a ground before a backdrop, in a light that falls from one side.

    `groups` holds the things by kind: those of a group, one to four, have a shape, colour and
    material in common.
    `horizon` is a share of the height from the top; `light_from` is -1 (left) to 1 (right);
    `texture_seed` draws what the description leaves open.
    """

    ground: str
    backdrop: str
    light: str
    light_from: float
    horizon: float
    groups: tuple[tuple[Thing, ...], ...]
    texture_seed: int


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: one or two groups of things, nearer things lower and larger."""
    horizon = float(rng.uniform(0.3, 0.55))
    sizes = [int(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))]
    if sizes[0] < 3 and rng.random() < 0.6:
        sizes.append(int(rng.choice([1, 2], p=[0.7, 0.3])))
    places = _places(rng, sum(sizes), horizon)
    groups, start = [], 0
    for count in sizes:
        groups.append(_draw_group(rng, places[start : start + count]))
        start += count
    return Scene(
        ground=str(rng.choice(list(GROUNDS))),
        backdrop=str(rng.choice(list(BACKDROPS))),
        light=str(rng.choice(list(LIGHTS))),
        light_from=float(rng.uniform(-1, 1)),
        horizon=horizon,
        groups=tuple(groups),
        texture_seed=int(rng.integers(2**32)),
    )


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """Describe a scene in words of `WORDS`; with `rng` parts are left out, as people do.

    Without it the caption is complete: things, ground, backdrop and light.
    """

    def keep(share: float) -> bool:
        return rng is None or rng.random() < share

    groups = list(scene.groups)
    if len(groups) > 1 and not keep(0.85):
        groups = groups[:1]
    things = " and ".join(
        _describe(group, material=keep(0.8), colour=keep(0.95)) for group in groups
    )
    words = ["photo of", things]
    if keep(0.75):
        words.append(f"on {scene.ground}")
    if keep(0.75):
        words.append(f"before {scene.backdrop}")
    if keep(0.5):
        words.append(f"in {scene.light}")
    return " ".join(words)


def _describe(group: tuple[Thing, ...], *, material: bool, colour: bool) -> str:
    thing, words = group[0], [NUMBERS[len(group)]]
    words += [thing.material] if material else []
    words += [thing.colour] if colour else []
    return " ".join([*words, thing.shape if len(group) == 1 else f"{thing.shape}s"])


def _places(rng: np.random.Generator, count: int, horizon: float) -> list[tuple[float, float]]:
    """Return feet, left to right in jittered columns, then shuffled, in shares of the sides."""
    columns = (np.arange(count) + rng.uniform(0.25, 0.75, size=count)) / count
    x = 0.5 + (columns - 0.5) * (0.9 if count > 1 else 0.7)
    y = rng.uniform(max(horizon + 0.18, 0.6), 0.97, size=count)
    order = rng.permutation(count)
    return [(float(x[i]), float(y[i])) for i in order]


def _draw_group(rng: np.random.Generator, places: list[tuple[float, float]]) -> tuple[Thing, ...]:
    shape, material = str(rng.choice(SHAPES)), str(rng.choice(MATERIALS))
    colour = str(rng.choice(list(COLOURS)))
    base = rng.uniform(0.3, 0.55) / (1 + 0.25 * (len(places) - 1))
    return tuple(
        Thing(
            shape=shape,
            colour=colour,
            material=material,
            x=x,
            y=y,
            size=float(base * (0.45 + 0.8 * y) * rng.uniform(0.85, 1.15)),
            tilt=float(rng.normal(scale=0.08)),
            tint=tuple(float(value) for value in np.exp(rng.normal(scale=0.12, size=3))),  # type: ignore[arg-type]
        )
        for x, y in places
    )
