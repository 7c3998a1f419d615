"""The folder of a detector that was calibrated on its user's own images."""

import json
import shutil
from pathlib import Path

import pandas as pd

import layerfusion
from layerfusion.files import new_folder, write_checksums
from layerfusion.model.folder import DESCRIPTION, TRAINED, read_description, tensors_file
from layerfusion.provenance import code_sha256
from layerfusion.release.calibration import Calibration
from layerfusion.release.calibration_report import as_values, card_section, notice
from layerfusion.release.export import CARD
from layerfusion.release.seen_images import CHOSEN_ON, read_seen, used_images, write_seen
from layerfusion.scoring.reference import write_reference

RECORD = "calibration.json"


def write_calibrated(made: Calibration, detector: Path, out: Path) -> None:
    """Write a calibrated detector to a new folder: complete, or not there at all.

    It holds the head of the detector as it is, byte for byte; ``detector.json`` with the threshold
    that was taken and a longer notice; ``validation.csv``, label and logit of the user's images;
    ``MODEL_CARD.md``, the detector's own with a section on these images before all others;
    ``calibration.json``, what was measured, with the hash of the list of images, versions and day;
    ``seen_images.csv``, the detector's own and these; and ``SHA256SUMS``.

    Parameters
    ----------
    detector
        The folder of the detector that `made` is of.

    Raises
    ------
    UserError
        If something is at `out` already, or the folder cannot be written.
    """
    with new_folder(out) as folder:
        shutil.copyfile(tensors_file(detector), folder / TRAINED)
        (folder / DESCRIPTION).write_text(_description(made, detector), encoding="utf-8")
        write_reference(made.scored, folder)
        (folder / CARD).write_text(_card(made, detector), encoding="utf-8")
        (folder / RECORD).write_text(_record(made), encoding="utf-8")
        chose = used_images(made.images.manifest.rows, CHOSEN_ON)
        write_seen(pd.concat([read_seen(detector), chose]), folder)
        write_checksums(folder)


def _description(made: Calibration, detector: Path) -> str:
    before = read_description(detector)
    now = {"threshold": made.choice.threshold, "notice": notice(made, before.notice)}
    return before.model_copy(update=now).model_dump_json(indent=2) + "\n"


def _card(made: Calibration, detector: Path) -> str:
    """Return the detector's card with the new section before its first one."""
    section, path = card_section(made), detector / CARD
    if not path.is_file():
        return f"# layerfusion: a calibrated detector\n\n{section}\n"
    top, heading, rest = path.read_text(encoding="utf-8").partition("\n## ")
    return f"{top}\n{section}\n{heading}{rest}" if heading else f"{top}\n{section}\n"


def _record(made: Calibration) -> str:
    code = {"layerfusion": layerfusion.__version__, "code_sha256": code_sha256()}
    return json.dumps(as_values(made) | code, indent=2, allow_nan=False) + "\n"
