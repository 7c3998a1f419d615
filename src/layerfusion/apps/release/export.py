"""From a finished run to a folder that can be shipped: rounded head, new threshold, model card."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from layerfusion.apps.release.model_card import Facts, model_card, official_results
from layerfusion.apps.release.seen_images import seen_images, write_seen
from layerfusion.data.sources.folder import described
from layerfusion.errors import UserError
from layerfusion.experiments.record import FinishedStudy
from layerfusion.experiments.tables import describe_images
from layerfusion.files import new_folder, write_checksums
from layerfusion.metrics.probability import probability
from layerfusion.metrics.thresholds import best_f1_threshold
from layerfusion.metrics.transfer import cautious_threshold
from layerfusion.model.detector import Detector
from layerfusion.model.folder import TRAINED, read_trained_tensors
from layerfusion.model.weight_files import write_tensors
from layerfusion.progress import Reporter
from layerfusion.runs.condition import condition_named
from layerfusion.runs.conditions import score_condition
from layerfusion.runs.experiment import Experiment
from layerfusion.runs.record import Run
from layerfusion.scoring.detectors import write_reference
from layerfusion.settings import Profile, family_of

CARD = "MODEL_CARD.md"
LICENCES = ("licence", "license")  # what a description may call the column

# The conditions that the card has numbers of.
SCORED = ("local", "jpeg", "launder", "webp-75", "avif-60")

# Columns of a validation image's predictions, where these are asked for.
KEPT = ["image_id", "label", "logit", "source", "style", "width", "height"]


def check_shippable(profile: Profile) -> None:
    """Raise a UserError if a run of these settings trains more than a head.

    Trained blocks of CLIP are hundreds of megabytes, and would ship weights that are not ours.
    """
    blocks = profile.encoder.trained_blocks
    if blocks > 0:
        raise UserError(
            f"a detector whose encoder is frozen can be exported, and this run trains the last "
            f"{blocks} blocks; choose a run with encoder.trained_blocks=0"
        )


def export(
    experiment: Experiment,
    run: Run,
    out: Path,
    *,
    command: str,
    fpr: float | None = None,
    official: FinishedStudy | None = None,
    reporter: Reporter | None = None,
) -> Facts:
    """Write the detector of a finished run to a new folder: complete, or not there at all.

    It holds ``detector.json``, ``trained.safetensors`` in float16, ``validation.csv`` (label and
    logit of the validation images, without their names), ``seen_images.csv`` (the beginning of the
    hash of each training and validation image), ``MODEL_CARD.md``, and ``SHA256SUMS``.
    What is shipped is the rounded head, so the validation images are scored again with it, in
    float32 as `layerfusion score` does, and the threshold is chosen again: as a run's is, by the
    largest F1, or for a false-positive rate.

    Parameters
    ----------
    command
        The command in the card.
    fpr
        In (0, 1): the threshold is that of
        `layerfusion.metrics.transfer.cautious_threshold`. None: of the largest F1.
    official
        A study of detectors with this one in it, scored before on images of other sources: the card
        begins with that.

    Returns
    -------
    Facts
        What the card was written from.

    Raises
    ------
    UserError
        If `check_shippable` objects, a weight is too large for float16, something is at `out`, the
        folder cannot be written, or the official study has another detector.
    ImageError
        If a validation image cannot be read any more.
    """
    check_shippable(experiment.profile)
    detector = run.detector()
    round_head(detector)
    scored = _score(experiment, detector, reporter or Reporter())
    local = scored["local"]
    detector.threshold = _threshold(local, experiment, fpr)
    judged = None if official is None else official_results(official, detector)
    with new_folder(out) as folder:
        detector.cpu().save(folder)
        halves = {name: tensor.half() for name, tensor in read_trained_tensors(folder).items()}
        write_tensors(folder / TRAINED, halves)  # nothing is lost by that: they are rounded
        write_reference(local, folder)
        seen = seen_images(experiment.training.rows, experiment.validation.rows)
        if seen is not None:
            write_seen(seen, folder)
        size = (folder / TRAINED).stat().st_size
        facts = _facts(experiment, run, detector.threshold, scored, size, command)
        facts = replace(facts, fpr=fpr, official=judged)
        (folder / CARD).write_text(model_card(facts), encoding="utf-8")
        write_checksums(folder)
    return facts


def round_head(detector: Detector) -> None:
    """Round what was trained to float16, in place; the parameters stay float32.

    Raises
    ------
    UserError
        If a weight is larger than float16 can hold.
    """
    rounded = {name: p.detach().half() for name, p in detector.trained_parameters().items()}
    for name, tensor in rounded.items():
        if not tensor.isfinite().all():
            raise UserError(
                f"{name} holds weights that float16 cannot; this head cannot be exported"
            )
    detector.restore(rounded)


def _score(
    experiment: Experiment, detector: Detector, reporter: Reporter
) -> dict[str, pd.DataFrame]:
    """Return predictions of the validation images under each condition, by its name.

    In float32, whatever the training's precision was: the threshold is for whoever scores.
    """
    conditions = {name: condition_named(name) for name in SCORED}
    return {
        name: score_condition(
            [detector], experiment.validation, condition, experiment.profile, "fp32", reporter
        )[0]
        for name, condition in conditions.items()
    }


def _threshold(local: pd.DataFrame, experiment: Experiment, fpr: float | None) -> float:
    """Return the threshold of the largest F1, or that which keeps a false-positive rate."""
    if fpr is None:
        return best_f1_threshold(local["label"], probability(local["logit"]))
    images, families = local[["image_id", "label"]], experiment.profile.data.families
    images = images.join(describe_images(experiment.validation)["source"], on="image_id")
    family = images["source"].map(partial(family_of, families=families), na_action="ignore")
    logit = cautious_threshold(images.assign(family=family), local["logit"].to_numpy(), fpr)
    return float(probability(logit))


def _facts(
    experiment: Experiment,
    run: Run,
    threshold: float,
    scored: dict[str, pd.DataFrame],
    head_bytes: int,
    command: str,
) -> Facts:
    known = describe_images(experiment.used)  # in place of what the folders say
    said = described(experiment.used.root, known.index, LICENCES)
    known["licence"] = said["licence"].fillna(said["license"])
    own = ["image_id", "label", "logit", "width", "height"]
    before = run.predictions().set_index("image_id")["logit"]
    after = scored["local"].set_index("image_id")["logit"]
    return Facts(
        profile=experiment.profile,
        record=run.record,
        threshold=threshold,
        moved=float((before[after.index] - after).abs().max()),
        head_bytes=head_bytes,
        training=experiment.training.rows[["path", "label"]].join(known, on="path"),
        scored={name: table[own].join(known, on="image_id") for name, table in scored.items()},
        command=command,
        date=datetime.now(UTC).date().isoformat(),
    )
