"""Finished detectors side by side on a profile's validation and test images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from layerfusion.analysis.effects import Contrast, Term, difference
from layerfusion.analysis.shortcuts import metadata_scores
from layerfusion.errors import UserError
from layerfusion.experiments.study import Study
from layerfusion.experiments.variant import Given, Variant
from layerfusion.metrics.scored import Metric
from layerfusion.runs.experiment import Experiment

METADATA = "metadata"  # the name of the baseline that sees no pixel

CONDITIONS = ("local", "official")


def detector_study(given: Mapping[str, Given], experiment: Experiment, *, command: str) -> Study:
    """Return the study of detectors on images that trained none of them, the first against others.

    A baseline that is fitted to sizes, bytes and format of the training images stands beside them.
    Test images without labels are scored all the same, for `layerfusion seal`.

    Parameters
    ----------
    given
        By name, each as `layerfusion.experiments.variant.Variant` takes it.
    experiment
        Of the run whose training images the baseline is fitted to.

    Raises
    ------
    UserError
        If a detector is called as the baseline is, or this cannot be fitted.
    """
    if METADATA in given:
        raise UserError(f"'{METADATA}' is the baseline's name; call the detector otherwise")
    images = experiment.manifest
    evaluated = images.rows["split"].isin(["val", "test"])
    scores = metadata_scores(experiment.training, images)

    def metadata(files: Sequence[Path]) -> list[float]:
        return [scores[file.relative_to(images.root).as_posix()] for file in files]

    every = {**given, METADATA: metadata}
    first, *others = every
    return Study(
        "detectors",
        "How good are finished detectors?",
        [Variant(name, name, experiment.run, given=own) for name, own in every.items()],
        [
            Contrast(f"{metric}-{on}-{other}", f"{first}: {on} {words} of {other}", terms)
            for on in CONDITIONS
            for other in others
            for metric, words, terms in _compared((first, on), (other, on))
        ],
        CONDITIONS,
        replace(images, rows=images.rows[evaluated].reset_index(drop=True)),
        profile=experiment.profile.name,
        command=command,
        settings=experiment.profile.model_dump(mode="json"),
    )


def _compared(
    one: tuple[str, str], other: tuple[str, str]
) -> list[tuple[Metric, str, tuple[Term, ...]]]:
    """Return by which numbers two detectors are compared: positive where the first is better."""
    return [
        ("roc_auc", "AUC above that", difference("roc_auc", one, other)),
        ("fpr", "FPR below that", difference("fpr", other, one)),
        ("recall", "recall above that", difference("recall", one, other)),
    ]
