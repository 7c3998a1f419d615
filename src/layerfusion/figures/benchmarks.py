"""Tables of what `benchmarks/` measured, read from its results."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from layerfusion.analysis.projection import Rates, Work
from layerfusion.paper.numbers import TRAINING_IMAGES
from layerfusion.paths import project_root

PREPARATION, SCORING = "preparation", "scoring"
STORE_IN_GB = 10  # a second, of the store that all devices share
FILE_BYTES = 150_000  # of a photograph as the data sets hold them
OPTIONS = "encoder_options"
TRAINING = "training-cpu-amd-epyc"
GPU = "full_size-cuda-nvidia-h100-80gb-hbm3"
CPU = "full_size-cpu-amd-epyc"


def read_result(name: str) -> dict[str, Any]:
    """Return a benchmark's committed result.

    Parameters
    ----------
    name
        Of its file in ``benchmarks/results``, without the ending.
    """
    path: Path = project_root() / "benchmarks" / "results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def preparation_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return images a second of one core, beside the obvious way, a row a size and kind of work."""
    rows = [
        {"photographs": row["size"], "work": row["work"]} | _beside_the_obvious(row)
        for row in result["preparation"]
    ]
    return pd.DataFrame(rows).set_index(["photographs", "work"])


def training_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return images a second of a forward pass and of training, beside the obvious way."""
    rows = [
        {"work": row["work"]} | _beside_the_obvious(row)
        for row in result["measured"]
        if "ratio" in row
    ]
    return pd.DataFrame(rows).set_index("work")


def images_share_in_a_sentence(result: dict[str, Any]) -> str:
    """Return which share of training from files images take, in both ways."""
    own, obvious = (row["share"] for row in result["measured"] if "share" in row)
    return (
        f"Of the time of training from files, {result['steps']} steps a round by "
        f"{result['workers']} workers, images take {_share(own)}; written the obvious way, "
        f"{_share(obvious)}. That is waiting for them, the start of the workers and, on a "
        "processor, the cores that these have from the training; it is what training on images "
        "from memory saves."
    )


def _share(spread: dict[str, float]) -> str:
    return f"{spread['median']:.1%} [{spread['min']:.1%}, {spread['max']:.1%}]"


def _beside_the_obvious(row: dict[str, Any]) -> dict[str, float]:
    return {
        "images/s": row["per_second"]["median"],
        "obvious way": row["reference_per_second"]["median"],
        "times": row["ratio"]["median"],
        "least": row["ratio"]["min"],
        "most": row["ratio"]["max"],
    }


def steps_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return the milliseconds of each step of a training image, where it is taken."""
    steps = pd.Series(result["steps_ms"], name="ms").sort_values(ascending=False)
    return steps.to_frame().rename_axis("step")


def decoders_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return the milliseconds that libraries take to decode a JPEG, a column a size."""
    return pd.DataFrame(result["decoders_ms"]).rename_axis("library")


def encoder_table(*results: dict[str, Any]) -> pd.DataFrame:
    """Return what ViT-L/14 does on each device and precision, at the measured batches."""
    rows = {
        (result["device"], case["activation"], case["precision"]): {
            ("training", "images/s"): case["training"]["images_per_second"],
            ("training", "of the matmul rate"): case["training"]["share_of_matmul_peak"],
            ("scoring", "images/s"): case["scoring"]["images_per_second"],
            ("scoring", "of the matmul rate"): case["scoring"]["share_of_matmul_peak"],
        }
        for result in results
        for case in result["measured"]
    }
    table = pd.DataFrame.from_dict(rows, orient="index").round(3)
    table.columns = pd.MultiIndex.from_tuples([tuple(pair) for pair in table.columns])
    return table.rename_axis(["device", "activation", "precision"])


def options_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return what settings of a forward pass gain and do to logits, a row a batch and setting."""
    rows = [
        {
            "batch": row["batch"],
            "setting": row["option"],
            "images/s": row["images_per_second"]["median"],
            "times": row["times_default"]["median"],
            "least": row["times_default"]["min"],
            "most": row["times_default"]["max"],
            "logits move by": f"{row['logit_moves_by']:.2g}",
        }
        for row in result["measured"]
    ]
    return pd.DataFrame(rows).set_index(["batch", "setting"])


def scoring_table(result: dict[str, Any]) -> pd.DataFrame:
    """Return what scoring a folder takes beside the encoder's forward pass alone."""
    table = pd.DataFrame(result["measured"]).set_index("what")
    return table.rename(columns={"min": "least", "max": "most"})


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
    ratio = first["ratio"]
    return (
        f"**One core prepares {first['per_second']['median']:,.0f} training images a second of "
        f"{first['size']} px, {ratio['median']:.1f} times [{ratio['min']:.1f}, {ratio['max']:.1f}] "
        "as many as the obvious way.**"
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
