"""The report of one picture, as values: for a page, a program, a notebook and a terminal."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import layerfusion
from layerfusion.apps.evidence.levels import (
    GENERATED,
    PHOTOGRAPHS,
    EvidenceLevel,
    EvidenceScale,
    LevelShares,
)
from layerfusion.apps.evidence.metadata import Mark, marks
from layerfusion.apps.evidence.pages import page, render, small_copy
from layerfusion.apps.evidence.views import (
    View,
    block_contributions,
    occlusion_map,
    overlay,
    score_views,
    verdict,
)
from layerfusion.files import file_sha256
from layerfusion.images.finding import printable
from layerfusion.images.reading import ImageError, check_is_file, read_image
from layerfusion.images.transforms import enlarge
from layerfusion.metrics.probability import probability
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import open_fabric
from layerfusion.progress import one_line
from layerfusion.scoring.detectors import detector_folder, read_reference
from layerfusion.scoring.files import threshold_of


@dataclass(frozen=True)
class InspectionReport:
    """What is known of one file.

    Attributes
    ----------
    name
        The file's name, printable.
    error
        Why it could not be read; everything below `sha256` is empty then.
    sha256
        Of the file, 64 hex digits; None where not even that could be read.
    level
        The level of evidence: of the score, or *unsure* where other views contradict it.
    reason
        Why it is unsure, where the score itself is not.
    shares
        How many validation images have that level.
    views
        The score of the picture as it is, first, and in other forms.
    blocks
        How much the logit falls without each block that the head reads, shape (blocks,).
    occlusion
        How much it falls where the picture is covered, shape (GRID, GRID); None if not asked for.
    marks
        The metadata of the file.
    limits
        Which limits of the detector apply to this picture, a sentence each.
    size
        The picture's upright width and height in pixels.
    image, crop
        A small copy of the picture, upright RGB, and the detector's input for it: a folder's
        pictures are not all held in memory.
    """

    name: str
    error: str | None = None
    sha256: str | None = None
    level: EvidenceLevel | None = None
    reason: str | None = None
    shares: LevelShares | None = None
    views: tuple[View, ...] = ()
    blocks: NDArray[np.float64] | None = None
    occlusion: NDArray[np.float64] | None = None
    marks: tuple[Mark, ...] = ()
    limits: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    image: Image.Image | None = None
    crop: Image.Image | None = None

    def __str__(self) -> str:
        """Return the report as a terminal shows it."""
        return render("apps/evidence/templates/report.txt.j2", found=self)

    def _repr_html_(self) -> str:
        """Return the picture and its level, as a notebook shows them."""
        return render("apps/evidence/templates/figure.html.j2", found=self)


@dataclass(frozen=True)
class Inspector:
    """A detector, the levels of its scores, and what holds for all its pictures.

    Parameters
    ----------
    detector
        Calibrated.
    scale
        Of this detector's validation scores.
    """

    detector: Detector
    scale: EvidenceScale

    @classmethod
    def load(cls, detector: str | Path | None = None) -> "Inspector":
        """Load a detector and its reference scores; the arguments and errors of both readers."""
        folder = detector_folder(detector)
        loaded = Detector.load(folder)  # first: it looks at what else lies in the folder
        scale = EvidenceScale(read_reference(folder))
        return cls(loaded.to(open_fabric("fp32").device), scale)

    def inspect(
        self, path: Path, *, name: str | None = None, occlusion: bool = True
    ) -> InspectionReport:
        """Inspect a file; one that cannot be read has a report too.

        Parameters
        ----------
        name
            The name in the report; None for the file's name.
        occlusion
            Whether to make the occlusion map: fifty scores more.
        """
        name, sha256 = one_line(printable(name or path.name)), None
        found: tuple[Mark, ...] = ()
        try:
            check_is_file(path)
            sha256, found = file_sha256(path), tuple(marks(path))
            known = {"name": name, "sha256": sha256, "marks": found}
            return self._inspect(read_image(path), known, occlusion=occlusion)
        except Exception as error:  # whatever one picture does is that picture's answer
            return InspectionReport(name, error=_reason(error), sha256=sha256, marks=found)

    def _inspect(
        self, image: Image.Image, known: dict[str, Any], *, occlusion: bool
    ) -> InspectionReport:
        """Return the report of a picture of whose file some things are known."""
        scored = score_views(self.detector, self.scale, image)
        crop, (level, reason) = scored.crop, verdict(scored.views)
        own = scored.views[0].logit
        return InspectionReport(
            **known,
            level=level,
            reason=reason,
            shares=self.scale.shares(level),
            views=tuple(scored.views),
            blocks=block_contributions(self.detector, scored.tokens),
            occlusion=occlusion_map(self.detector, crop, own) if occlusion else None,
            limits=self._limits(image),
            size=image.size,
            image=small_copy(image),
            crop=Image.fromarray(crop.permute(1, 2, 0).numpy()),
        )

    def about(self) -> dict[str, str]:
        """Return what holds for a whole report: versions, threshold, date, notice."""
        encoder = self.detector.encoder_settings
        return {
            "layerfusion": layerfusion.__version__,
            "encoder": f"{encoder.model}, {encoder.weights}",
            "threshold": f"{threshold_of(self.detector):.6g}",
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "notice": self.detector.notice or "",
        }

    def _limits(self, image: Image.Image) -> tuple[str, ...]:
        settings = self.detector.image_settings
        large = enlarge(image, settings.min_side)
        text = render(
            "apps/evidence/templates/limits.txt.j2",
            settings=settings,
            seen=settings.crop**2 / (large.width * large.height),
            enlarged=large.size != image.size,
            side=min(image.size),
        )
        return tuple(text.splitlines())


def _reason(error: Exception) -> str:
    """Say why a picture has no report."""
    match error:
        case ImageError():
            return error.reason
        case OSError(strerror=str(trouble)):
            return trouble.lower()
        case MemoryError():
            return "not enough memory to inspect it"
    return " ".join(str(error).split()) or type(error).__name__


def as_values(found: InspectionReport) -> dict[str, Any]:
    """Return a report as plain values, as JSON holds them; pictures are left out."""
    values: dict[str, Any] = {"name": found.name, "error": found.error, "sha256": found.sha256}
    if found.level is not None and found.shares is not None:
        values |= {
            "verdict": found.level.text,
            "reason": found.reason,
            "share_of_validation_photographs": asdict(found.shares.photographs),
            "share_of_validation_generated_images": asdict(found.shares.generated),
            "scores": [
                {
                    "view": view.name,
                    "logit": view.logit,
                    "probability": float(probability(view.logit)),
                    "level": view.level.text,
                }
                for view in found.views
            ],
            "fall_without_block": None if found.blocks is None else found.blocks.tolist(),
            "fall_where_covered": None if found.occlusion is None else found.occlusion.tolist(),
            "limits": list(found.limits),
        }
    return values | {"metadata": [mark._asdict() for mark in found.marks]}


def report_html(
    reports: Sequence[InspectionReport], about: dict[str, str], *, again: str | None = None
) -> str:
    """Return the page: an index where there are several pictures, then a section a picture.

    Parameters
    ----------
    about
        As `Inspector.about` returns it.
    again
        Address of a page on which more pictures can be chosen, if there is one.
    """
    return page(
        "report.html.j2",
        script="report.js" if len(reports) > 1 else None,
        reports=reports,
        about=about,
        notice=about["notice"],
        again=again,
        overlay=overlay,
        Level=EvidenceLevel,
        levels=sorted(EvidenceLevel, reverse=True),
        rules={"photographs": PHOTOGRAPHS, "generated": GENERATED},
    )
