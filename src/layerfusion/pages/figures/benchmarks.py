"""Tables of what `benchmarks/` measured, read from its results."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerfusion.analysis.projection import Rates, Work
from layerfusion.pages.figures.formatting import bounds
from layerfusion.paper.numbers import TRAINING_IMAGES
from layerfusion.paths import project_root

PREPARATION, SCORING = "preparation", "scoring"
STORE_IN_GB = 10  # a second, of the store that all devices share
FILE_BYTES = 150_000  # of a photograph as the data sets hold them
OPTIONS = "encoder_options"
TRAINING = "training-cpu-amd-epyc"
GPU = "full_size-cuda-nvidia-h100-80gb-hbm3"
CPU = "full_size-cpu-amd-epyc"

# Tables of measurements: what names a row, and the numbers that are shown (``ratio.min`` is ``min``
# in ``ratio``), each with the word of the page.
RATIO = {"ratio.median": "times", "ratio.min": "least", "ratio.max": "most"}
SPEED = {"per_second.median": "images/s", "reference_per_second.median": "obvious way"} | RATIO
PASS = {"images_per_second": "images/s", "share_of_matmul_peak": "of the matmul rate"}
TABLES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "preparation": ({"size": "photographs", "work": "work"}, SPEED),
    "training": ({"work": "work"}, SPEED),
    "encoder": (
        {name: name for name in ("device", "activation", "precision")},
        {f"{w}.{key}": (w, name) for w in ("training", "scoring") for key, name in PASS.items()},
    ),
    "options": (
        {"batch": "batch", "option": "setting"},
        {"images_per_second.median": "images/s"}
        | {f"times_default{key.removeprefix('ratio')}": name for key, name in RATIO.items()}
        | {"logit_moves_by": "logits move by"},
    ),
    "scoring": ({"what": "what"}, {"min": "least", "median": "median", "max": "most"}),
    "inspection": (
        {"pictures": "pictures", "maps": "maps"},
        {
            "seconds": "seconds",
            "processor_seconds": "processor seconds",
            "peak_memory_mib": "peak memory, MiB",
        },
    ),
}


def read_result(name: str) -> dict[str, Any]:
    """Return a benchmark's committed result.

    Parameters
    ----------
    name
        Of its file in ``benchmarks/results``, without the ending.
    """
    path = project_root() / "benchmarks" / "results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def measured_table(kind: str, result: Mapping[str, Any]) -> pd.DataFrame:
    """Return chosen numbers of a result, a row a measurement.

    Parameters
    ----------
    kind
        Of `TABLES`. A measurement with none of its numbers is left out.
    """
    index, columns = TABLES[kind]
    table = (
        pd.json_normalize(result.get(kind) or result["measured"])
        .dropna(how="all", subset=[*columns])
        .rename(columns=index)
    )
    chosen = table.set_index([*index.values()])[[*columns]]
    chosen.columns = pd.Index([*columns.values()])
    return chosen


def images_share_in_a_sentence(result: dict[str, Any]) -> str:
    """Return which share of training from files images take, in both ways."""
    own, obvious = (spread(row["share"], ".1%") for row in result["measured"] if "share" in row)
    return (
        f"Of the time of training from files, {result['steps']} steps a round by "
        f"{result['workers']} workers, images take {own}; written the obvious way, {obvious}. That "
        "is waiting for them, the start of the workers and, on a processor, the cores that these "
        "have from the training; it is what training on images from memory saves."
    )


def spread(rounds: Mapping[str, float], form: str) -> str:
    """Return the median of repeated measurements, and the least and largest of them."""
    ends = {"low": rounds["min"], "high": rounds["max"]}
    return f"{rounds['median']:{form}} {bounds(ends, form)}"


def steps_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return the milliseconds of each step of a training image, where it is taken."""
    steps = pd.Series(result["steps_ms"], name="ms").sort_values(ascending=False)
    return steps.to_frame().rename_axis("step")


def decoders_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return the milliseconds that libraries take to decode a JPEG, a column a size."""
    return pd.DataFrame(result["decoders_ms"]).rename_axis("library")


def encoder_table(*results: dict[str, Any]) -> pd.DataFrame:
    """Return what ViT-L/14 does on each device and precision, at the measured batches."""
    rows = [case | {"device": one["device"]} for one in results for case in one["measured"]]
    return measured_table("encoder", {"measured": rows}).round(3)


def options_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return what settings of a forward pass gain and do to logits, a row a batch and setting."""
    table = measured_table("options", result)
    return table.assign(**{"logits move by": table["logits move by"].map("{:.2g}".format)})


def shown_projection(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `layerfusion.analysis.projection.project` as a page has room for it."""
    shown = table.set_index(["work", "devices"])
    shown["images"] = shown["images"].map("{:,}".format)
    for column in ("hours", "at worst", "device hours"):
        shown[column] = shown[column].map("{:.2g}".format)
    return shown


def in_a_line(result: dict[str, Any]) -> str:
    """Return when and on what something was measured."""
    known = result["provenance"]
    name = known["gpu"] or known["processor"]["name"]
    torch = known["libraries"]["torch"]
    load = result.get("load_average")
    shared = "" if load is None else f", load average {load:.1f}"
    return f"{result['date']}, {name}, {known['cores']} cores, torch {torch}{shared}"


def in_a_sentence(result: dict[str, Any]) -> str:
    """Return what one core prepares of common photographs, in training."""
    first = result["preparation"][0]
    times = spread(first["ratio"], ".1f").replace(" ", " times ", 1)
    return (
        f"**One core prepares {first['per_second']['median']:,.0f} training images a second of "
        f"{first['size']} px, {times} as many as the obvious way.**"
    )


def assumptions(rates: Rates) -> str:
    """Return what the projection takes for granted, in a paragraph."""
    return (
        "A calculation, not a measurement: what the measured rates come to on more devices. Each "
        f"has {rates.cores} cores beside it, as the machine that was measured; that all read files "
        f"of {rates.image_bytes / 1e3:.0f} kB from one store of {rates.store / 1e9:.0f} GB/s is "
        "assumed."
    )


def papers_work(epochs: int) -> list[Work]:
    """Return the paper's runs, every training image as often as there are epochs, and archives."""
    runs = [
        Work(f"{run} run, {epochs} epochs", 2 * each * epochs, training=True)
        for run, each in TRAINING_IMAGES.items()
    ]
    archives = {"1 million": 10**6, "1 billion": 10**9}
    scored = [Work(f"scoring {name}", count, training=False) for name, count in archives.items()]
    return runs + scored


def rates(gpu: dict[str, Any], preparation: dict[str, Any]) -> Rates:
    """Return measured rates for `layerfusion.analysis.projection`: fp16, and 640 x 480 px.

    fp16 is the precision of the profile ``paper``.
    """
    half = next(case for case in gpu["measured"] if case["precision"] == "fp16")
    prepared = {
        row["work"]: row["per_second"]["median"]
        for row in preparation["preparation"]
        if row["size"] == "640 x 480"
    }
    return Rates(
        training=half["training"]["images_per_second"],
        scoring=half["scoring"]["images_per_second"],
        training_images=prepared["training"],
        scoring_images=prepared["evaluation"],
        cores=gpu["provenance"]["cores"],
        store=STORE_IN_GB * 1e9,
        image_bytes=FILE_BYTES,
    )
