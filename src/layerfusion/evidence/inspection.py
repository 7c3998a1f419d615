"""All that is said of one picture, as plain values: for a page, a program, or a terminal."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import layerfusion
from layerfusion.errors import UserError
from layerfusion.evidence.metadata import Mark, marks
from layerfusion.evidence.origin import block_contributions, occlusion_map
from layerfusion.evidence.pictures import picture_address, small_copy
from layerfusion.evidence.stability import Variant, variants, verdict
from layerfusion.evidence.words import Meaning, Scale, Word
from layerfusion.images.finding import printable
from layerfusion.images.reading import ImageError, read_image
from layerfusion.images.transforms import EvaluationTransform, enlarge
from layerfusion.metrics.probability import probability
from layerfusion.model.detector import Detector


@dataclass(frozen=True)
class Inspection:
    """What is known of one file.

    Attributes
    ----------
    name
        The file's name, printable.
    error
        Why it could not be read; everything below `sha256` is empty then.
    sha256
        Of the file, 64 hex digits; None where not even that could be read.
    word
        What it is called: the score's word, or *unsure* where it does not stand.
    why
        Why it is unsure, where the score itself is not.
    meaning
        How often validation images have that word.
    variants
        The score as it is, first, and in other forms of the picture.
    blocks
        How much the logit falls without each block that the head reads, shape (blocks,).
    places
        How much it falls where the picture is covered, shape (grid, grid); None if not asked for.
    marks
        What the file says of itself.
    limits
        What of the detector's limits applies to this picture, a sentence each.
    size
        The picture's upright width and height in pixels.
    image, crop
        A small copy of the picture, upright RGB, `SHOWN` px at most on its longer side, and what
        the detector sees of it: a folder's pictures are not all held in memory.
    """

    name: str
    error: str | None = None
    sha256: str | None = None
    word: Word | None = None
    why: str | None = None
    meaning: Meaning | None = None
    variants: tuple[Variant, ...] = ()
    blocks: NDArray[np.float64] | None = None
    places: NDArray[np.float64] | None = None
    marks: tuple[Mark, ...] = ()
    limits: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    image: Image.Image | None = None
    crop: Image.Image | None = None

    def _repr_html_(self) -> str:
        """Return the picture and its words, as a notebook shows them."""
        if self.word is None or self.meaning is None or self.image is None:
            said = f"could not be read: {self.error}"
            return f"<p><b>{escape(self.name)}</b> {escape(said)}</p>"
        real, generated = self.meaning
        often = (
            f"So called: {real.estimate:.0%} of validation photographs [{real.low:.0%}, "
            f"{real.high:.0%}], {generated.estimate:.0%} of generated images "
            f"[{generated.low:.0%}, {generated.high:.0%}]."
        )
        why = f"<br>Does not stand: {escape(self.why)}" if self.why else ""
        return (
            f'<figure><img src="{picture_address(self.image)}" alt="{escape(self.name)}">'
            f"<figcaption><b>{escape(self.word.text)}</b> {escape(self.name)}<br>"
            f"{often}{why}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Inspector:
    """A detector, the words of its scores, and what holds for all its pictures.

    Parameters
    ----------
    detector
        Calibrated.
    scale
        Of this detector's validation scores.
    """

    detector: Detector
    scale: Scale

    def inspect(self, path: Path, *, name: str | None = None, places: bool = True) -> Inspection:
        """Inspect a file; one that cannot be read is an answer too.

        Parameters
        ----------
        name
            What to call it; None for the file's name.
        places
            Whether to find the places of the picture: fifty scores more.
        """
        name = printable(name or path.name)
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            return Inspection(name, error=(error.strerror or "it cannot be read").lower())
        try:
            image = read_image(path)
            found = variants(self.detector, self.scale, image)
        except ImageError as error:
            return Inspection(name, error=error.reason, sha256=sha256, marks=tuple(marks(path)))
        crop = EvaluationTransform(self.detector.image_settings)(image)
        word, why = verdict(found)
        return Inspection(
            name=name,
            sha256=sha256,
            word=word,
            why=why,
            meaning=self.scale.meaning(word),
            variants=tuple(found),
            blocks=block_contributions(self.detector, crop),
            places=occlusion_map(self.detector, crop) if places else None,
            marks=tuple(marks(path)),
            limits=tuple(self._limits(image)),
            size=image.size,
            image=small_copy(image),
            crop=Image.fromarray(crop.permute(1, 2, 0).numpy()),
        )

    def about(self) -> dict[str, str]:
        """Return what holds for a whole report: versions, threshold, date, notice."""
        if self.detector.threshold is None:
            raise UserError("this detector has no threshold yet; it must be calibrated first")
        encoder = self.detector.encoder_settings
        return {
            "layerfusion": layerfusion.__version__,
            "encoder": f"{encoder.model}, {encoder.weights}",
            "threshold": f"{self.detector.threshold:.6g}",
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "notice": self.detector.notice or "",
        }

    def _limits(self, image: Image.Image) -> list[str]:
        settings = self.detector.image_settings
        large = enlarge(image, settings.min_side)
        seen = settings.crop**2 / (large.width * large.height)
        said = [] if seen > 0.99 else [
            f"The score is of the central {settings.crop} px square, {seen:.0%} of the picture"
            + (" after enlarging." if large.size != image.size else ".")
        ]  # fmt: skip
        if large.size != image.size:
            said.append(
                f"The picture is small: its shorter side of {min(image.size)} px was enlarged to "
                f"{settings.min_side} px, which makes pixels that no camera and no generator made."
            )
        said.append(
            "A generated part of a photograph, an edited one, an illustration, and generators "
            "newer than the training images are not what it was made for."
        )
        return said


def as_values(found: Inspection) -> dict[str, Any]:
    """Return an inspection as plain values, as JSON holds them; pictures are left out."""
    values: dict[str, Any] = {"name": found.name, "error": found.error, "sha256": found.sha256}
    if found.word is not None and found.meaning is not None:
        values |= {
            "verdict": found.word.text,
            "why": found.why,
            "said_of_validation_photographs": asdict(found.meaning.photographs),
            "said_of_validation_generated_images": asdict(found.meaning.generated),
            "scores": [
                {
                    "of": variant.name,
                    "logit": variant.logit,
                    "probability": float(probability(variant.logit)),
                    "word": variant.word.text,
                }
                for variant in found.variants
            ],
            "fall_without_block": None if found.blocks is None else found.blocks.tolist(),
            "fall_where_covered": None if found.places is None else found.places.tolist(),
            "limits": list(found.limits),
        }
    return values | {"metadata": [mark._asdict() for mark in found.marks]}
