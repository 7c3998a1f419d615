"""Tables and figures of what `benchmarks/` measured, read from its results."""

import json
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from layerfusion.analysis.projection import Rates, Work
from layerfusion.pages.figures.formatting import bounds
from layerfusion.pages.figures.intervals import interval_panels
from layerfusion.pages.figures.style import finish, legend_above
from layerfusion.paper.numbers import TRAINING_IMAGES
from layerfusion.paths import project_root
from layerfusion.provenance import processor_name

PREPARATION, SCORING = "preparation", "scoring"
STORE_IN_GB = 10  # a second, of the store that all devices share
FILE_BYTES = 150_000  # of a photograph as the data sets hold them
OPTIONS = "encoder_options"
TRAINING = "training-cpu-amd-epyc"
GPU = "full_size-cuda-nvidia-h100-80gb-hbm3"
CPU = "full_size-cpu-amd-epyc"

RATIO_TICKS = (0.5, 1, 2, 4, 8, 16)
PASS_STYLES = {"training": ("o", "0.1"), "scoring": ("s", "0.6")}  # marker and grey

# Tables of measurements: what names a row, and the numbers that are shown (``ratio.min`` is ``min``
# in ``ratio``), each with the word of the page.
RATIO = {"ratio.median": "times", "ratio.min": "least", "ratio.max": "most"}
SPEED = {"per_second.median": "images/s", "reference_per_second.median": "reference"} | RATIO
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


def draw_ratios(panels: Mapping[str, pd.DataFrame], label: str) -> Figure:
    """Draw how many times as fast something is, a panel a table, with the least and largest ratio.

    Parameters
    ----------
    panels
        Tables with the columns ``times``, ``least`` and ``most``, a row an index; by title.
    label
        Of the axis, which is logarithmic; equal speed is a line.
    """
    tables = {title: table.rename_axis("row") for title, table in panels.items()}
    drawn = pd.concat(tables, names=["panel"]).reset_index()
    figure = interval_panels(
        drawn.rename(columns={"least": "low", "most": "high"}), "times", label,
        rows="row", panels="panel", by="panel", line=1.0,
        styles={title: {"color": "0.2", "marker": "o"} for title in panels},
    )  # fmt: skip
    figure.axes[0].set_xscale("log")  # of all
    figure.axes[-1].set_xticks(RATIO_TICKS, [f"{value:g}" for value in RATIO_TICKS], minor=False)
    figure.axes[-1].set_xticks([], minor=True)
    return figure


def draw_encoder(table: pd.DataFrame) -> Figure:
    """Draw images per second, and how much of the device's arithmetic a pass uses.

    Parameters
    ----------
    table
        As `encoder_table` returns it.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    places = np.arange(len(table))
    names = [
        ", ".join(row).replace("quick_gelu", "QuickGELU").replace("gelu", "GELU")
        for row in table.index
    ]
    for axes, column in zip(panels, PASS.values(), strict=True):
        for work, (marker, grey) in PASS_STYLES.items():
            axes.plot(table[work, column], places, marker, color=grey, label=work)
        axes.set(xlabel=column)
    panels[0].set_xscale("log")
    panels[0].set_yticks(places, names, fontsize="small")
    panels[0].invert_yaxis()  # of both
    panels[1].xaxis.set_major_formatter(PercentFormatter(1))
    panels[1].set_xlim(0, 1)
    legend_above(figure, panels[0])
    return finish(figure)


def in_a_line(result: dict[str, Any]) -> str:
    """Return when and on what something was measured."""
    known = result["provenance"]
    name = known["gpu"] or processor_name(known)
    torch = known["libraries"]["torch"]
    load = result.get("load_average")
    shared = "" if load is None else f", load average {load:.1f}"
    return f"{result['date']}, {name}, {known['cores']} cores, torch {torch}{shared}"


def measured_on(**results: dict[str, Any]) -> pd.DataFrame:
    """Return `in_a_line` of results, a row each by its name."""
    lines = {name.replace("_", ", "): [in_a_line(one)] for name, one in results.items()}
    return pd.DataFrame.from_dict(lines, orient="index", columns=["measured"])


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
