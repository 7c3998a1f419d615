"""The page on one photograph: how often levels are right, by level and by source; a real report.

Counts of levels are those of `benchmarks/words.py`: a dict ``alone``, as the score alone has it,
and a dict ``said``, once other forms of the picture were scored.
"""

import html
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from layerfusion.apps.evidence.levels import GENERATED, PHOTOGRAPHS, EvidenceLevel
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.probability import decide, threshold_logit
from layerfusion.metrics.uncertainty import LEVEL, Interval, share_interval
from layerfusion.pages.figures.benchmarks import measured_table
from layerfusion.pages.figures.formatting import interval_cells
from layerfusion.pages.figures.intervals import interval_panels, source_names
from layerfusion.pages.figures.style import COLOURS, finish
from layerfusion.paths import reference_folder
from layerfusion.settings import WorldSource, load_profile

if TYPE_CHECKING:
    from IPython.display import DisplayObject

WORDS, TIMES = "words", "inspect_photographs"  # the results that are read
SHIPPED = "photographs"  # in the study of detectors: the default
DEMO_DETECTOR = reference_folder("demo") / "open-seed1337" / "detector"  # needs no weights
HOW = {"alone": "score alone", "said": "with other forms of the picture"}
KINDS = {"photographs": "real", "generated": "synthetic"}  # columns of counts, by their class
PANELS = {
    "real": "photographs with moderate or strong evidence",
    "synthetic": "generated images with no evidence",
}
EVIDENCE = (EvidenceLevel.WEAK, EvidenceLevel.MODERATE, EvidenceLevel.STRONG)
RIGHT = {EvidenceLevel.NONE: "photographs", **dict.fromkeys(EVIDENCE, "generated")}


def at_equal_coverage(result: Mapping[str, Any]) -> Interval:
    """Return the share of wrong calls of the score alone on as many images as a word decides.

    Selective predictors are compared where they leave out as many images: the score alone leaves
    out those whose logits are nearest to its threshold.
    """
    images, cut = pd.DataFrame(result["images"]), threshold_logit(result["threshold"])
    distance = (images["logit"] - cut).abs()
    kept = images.loc[distance.nlargest(result["decided"]["said"]["decided"]).index]
    wrong = decide(kept["logit"], result["threshold"]) != (kept["label"] == 1)
    return share_interval(int(wrong.sum()), len(kept))


def words_table(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return how many images of each class have each level, and the share that it is right of.

    Returns
    -------
    DataFrame
        A row a way of deciding and level: ``photographs``, ``generated``, ``right``,
        ``right_low``, ``right_high``. Nothing is right of *unsure*: NaN.
    """
    rows = {}
    for how, name in HOW.items():
        for level in sorted(EvidenceLevel, reverse=True):
            counts = result["words"][how][level.text]
            own = {kind: counts[kind] for kind in ("photographs", "generated")}
            right = (own[RIGHT[level]], sum(own.values())) if level in RIGHT else (0, 0)
            rows[name, level.text] = own | share_interval(*right).columns("right")
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["decided by", "level"])


def shown_words(table: pd.DataFrame, how: str) -> pd.DataFrame:
    """Return the rows of one way of deciding as a page has room for them.

    Parameters
    ----------
    how
        ``alone`` or ``said``.
    """
    own = table.xs(HOW[how])
    assert isinstance(own, pd.DataFrame)
    cells = interval_cells(own, "right", ".0%")
    return own[[*KINDS]].assign(right=cells).rename(short).rename_axis(None)


def short(level: str) -> str:
    """Return the text of a level without what it is evidence of."""
    return level.removesuffix(" of a generated image")


def draw_words(table: pd.DataFrame) -> Figure:
    """Draw how many images of each class have each level, a panel a way of deciding.

    Parameters
    ----------
    table
        As `words_table` returns it.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    for axes, how in zip(panels, HOW.values(), strict=True):
        own = table.xs(how)
        places = np.arange(len(own))
        for shift, (kind, name) in zip((-0.2, 0.2), KINDS.items(), strict=True):
            bars = axes.barh(places + shift, own[kind], 0.4, color=COLOURS[name], label=kind)
            axes.bar_label(bars, padding=2, fontsize="small")
        axes.set(title=how, xlabel="images", xlim=(0, 1.1 * table[[*KINDS]].to_numpy().max()))
        axes.set_yticks(places, [short(str(level)) for level in own.index])
        axes.tick_params(axis="y", length=0)
    panels[0].invert_yaxis()  # of both
    panels[0].legend(frameon=False)
    return finish(figure)


def demo_report() -> str:
    """Return what ``layerfusion inspect --report`` makes of a generated picture of the demo world.

    The detector is that of the committed demo run; the picture belongs to its test images.
    """
    from layerfusion.apps.evidence.inspection import Inspector, report_html  # they load torch
    from layerfusion.demo.pictures import make, plan

    (world,) = load_profile("demo").data.sources
    assert isinstance(world, WorldSource)
    pictures = (one for one in plan(world) if one.split == "test" and not one.platform)
    inspector = Inspector.load(DEMO_DETECTOR)
    with TemporaryDirectory() as folder:
        path = Path(folder, "picture.jpg")
        path.write_bytes(make(next(one for one in pictures if one.generator)))
        found = inspector.inspect(path)
    # Two executions of one page are equal.
    return report_html([found], inspector.about() | {"date": "the date of this page"})


def framed(page: str, title: str) -> "DisplayObject":
    """Return a whole HTML page within a notebook's, in a frame that asks for no other file."""
    from IPython.display import HTML

    frame = (
        f'<div><iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" '
        'style="width: 100%; height: 42rem; border: 1px solid #888"></iframe></div>'
    )
    shown: DisplayObject = HTML(frame)  # type: ignore[no-untyped-call]
    return shown


def by_source(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each source that is called wrongly, the worst of each class first.

    Parameters
    ----------
    table
        As `layerfusion.apps.evidence.levels.levels_by_source` returns it.

    Returns
    -------
    DataFrame
        By class and source: ``images``; ``unsure``, a number of them; ``wrong``, ``wrong_low`` and
        ``wrong_high``, the share of photographs with moderate or strong evidence, and of generated
        images with none.
    """
    wrong = table["NONE"].where(table["label"] == 1, table["MODERATE"] + table["STRONG"])
    shares = map(share_interval, wrong, table["images"])
    known = table.rename(columns={"UNSURE": "unsure"})[["source", "images", "unsure"]]
    known.insert(0, "class", table["label"].map(CLASSES))
    found = known.join(pd.DataFrame([share.columns("wrong") for share in shares]))
    ordered = found.sort_values(["class", "wrong"], ascending=[True, False])
    return ordered.set_index(["class", "source"])


def draw_sources(table: pd.DataFrame) -> Figure:
    """Draw the share of each source that is wrong, as `by_source` returns it, a panel a class.

    A line is the share of validation images that the rule of the levels allows.
    """
    drawn = table.reset_index()
    drawn["source"] = source_names(drawn["source"])
    drawn["panel"] = drawn["class"].map(PANELS)
    styles = {PANELS[name]: {"color": colour, "marker": "o"} for name, colour in COLOURS.items()}
    label = f"share of the source's images; bars: {LEVEL:.0%}, other images; dotted: rule"
    return interval_panels(
        drawn, "wrong", label,
        rows="source", panels="panel", by="panel", styles=styles, percent=True,
        line={PANELS["real"]: PHOTOGRAPHS[EvidenceLevel.MODERATE], PANELS["synthetic"]: GENERATED},
    )  # fmt: skip


def shown_sources(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `by_source` as a page has room for it."""
    shown = table.reset_index()[["class", "source", "images", "unsure"]]
    shown["source"] = source_names(shown["source"])
    shown["wrong"] = interval_cells(table, "wrong", ".0%")
    return shown.set_index(["class", "source"])


def time_table(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the command takes, a row a number of pictures, without and with maps.

    Returns
    -------
    DataFrame
        By ``pictures`` and whether there are ``maps``: ``seconds``, ``processor seconds`` (of all
        cores together), ``peak memory, MiB``.
    """
    rows = [row | {"maps": "yes" if row["maps"] else "no"} for row in result["measured"]]
    return measured_table("inspection", {"measured": rows})


def further_seconds(result: Mapping[str, Any]) -> tuple[float, float]:
    """Return what one picture more costs, and what its map adds, in seconds of one core."""
    plain = [row for row in result["measured"] if not row["maps"]]
    few, many = (pick(plain, key=lambda row: row["pictures"]) for pick in (min, max))
    mapped = next(row for row in result["measured"] if row["maps"])

    def slower(row: Mapping[str, Any]) -> float:
        return float(row["processor_seconds"] - few["processor_seconds"])

    more = slower(many) / (many["pictures"] - few["pictures"])
    return more, slower(mapped) / mapped["pictures"]
