"""What corruptions cost a finished detector, on any labelled images."""

from dataclasses import replace

from layerfusion.analysis.effects import Contrast, difference
from layerfusion.data.manifest import Manifest
from layerfusion.errors import UserError
from layerfusion.experiments.study import Study
from layerfusion.experiments.variant import Given, Variant

# By kind: the strengths that its curve is drawn through, from none to most.
CURVES = {
    "jpeg": (95, 85, 70, 50, 30),
    "webp": (90, 75, 50),
    "avif": (80, 60, 40),
    "shrink": (75, 50, 35),
    "crop": (80, 60),
    "blur": (5, 10, 20),
    "noise": (2, 5, 10),
    "screenshot": (150, 80, 60),
}
# By platform: what an upload goes through. Longest sides of Facebook and X are what Harmon (2021)
# measured; Telegram's, and all qualities, are assumptions.
PLATFORMS = {
    "Facebook": "bound-1920+jpeg-77",
    "Telegram": "bound-1280+jpeg-87",
    "X": "bound-4096+jpeg-85",
}
CHAINS = ("shrink-50+jpeg-75", "screenshot-80+jpeg-85", "jpeg-75+jpeg-85", "crop-80+webp-75")

CONDITIONS = (
    "clean",
    *(f"{kind}-{strength}" for kind, strengths in CURVES.items() for strength in strengths),
    *PLATFORMS.values(),
    *CHAINS,
)


def corruption_study(
    given: Given,
    images: Manifest,
    *,
    per_class: int = 100,
    seed: int = 1337,
    profile: str = "folder",
    command: str = "",
) -> Study:
    """Return the study of a detector under every corruption, each compared with clean images.

    Parameters
    ----------
    given
        As `layerfusion.experiments.variant.Variant` takes it.
    images
        Labelled ones; `per_class` of each class are drawn with `seed`.

    Raises
    ------
    UserError
        As `draw_images`.
    """
    drawn = draw_images(images, per_class, seed)
    return Study(
        "corruptions",
        "What do corruptions cost?",
        [Variant("detector", "the detector", given=given)],
        [
            Contrast(
                name,
                f"ROC AUC under {name} above that of clean images",
                difference("roc_auc", ("detector", name), ("detector", "clean")),
            )
            for name in CONDITIONS[1:]
        ],
        CONDITIONS,
        drawn,
        seeds=[seed],
        profile=profile,
        command=command,
        facts={"per_class": per_class},
    )


def draw_images(images: Manifest, per_class: int, seed: int) -> Manifest:
    """Return so many images of each class, drawn from a manifest, in its order.

    Raises
    ------
    UserError
        If a class has fewer.
    """
    fewest = images.rows["label"].value_counts().reindex([0, 1], fill_value=0).min()
    if fewest < per_class:
        raise UserError(
            f"{per_class} images of each class are asked for, and one class has {fewest}; ask for "
            "fewer with --images"
        )
    drawn = images.rows.groupby("label").sample(per_class, random_state=seed)
    return replace(images, rows=drawn.sort_index().assign(split="val"))
