"""The conditions of the paper by name: which images are scored, and under which corruption."""

from dataclasses import dataclass

from layerfusion.data.manifest import Split


@dataclass(frozen=True)
class Condition:
    """Which images are scored, and under which corruption.

    Attributes
    ----------
    split
        ``val``, the paper's *local*, or ``test``, its *official*.
    degradation
        A name of `layerfusion.images.degradations`, or None.
    small
        Whether only images count whose shorter side is below the profile's
        ``training.small_side`` (512 px in the paper).
    """

    split: Split = "val"
    degradation: str | None = None
    small: bool = False


# The conditions of Tables 1 and 2, by the paper's words.
CONDITIONS = {
    "local": Condition(),
    "official": Condition(split="test"),
    "jpeg": Condition(degradation="jpeg-85"),
    "launder": Condition(degradation="launder"),
    "small": Condition(small=True),
}


def condition_named(name: str) -> Condition:
    """Return a condition of the paper, or clean validation images degraded as a name says.

    Parameters
    ----------
    name
        Of `CONDITIONS`, ``clean``, or of a degradation in `layerfusion.images.degradations`.
    """
    return CONDITIONS.get(name) or Condition(degradation=None if name == "clean" else name)
