"""The page on one photograph: how often words are right, by word and by source, and what they cost.

Counts of words are those of `benchmarks/words.py`: a dict ``alone``, as the score alone has it, and
a dict ``said``, as it is said once other forms of the picture were scored.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerfusion.apps.evidence.levels import EvidenceLevel
from layerfusion.metrics.classes import CLASSES
from layerfusion.metrics.probability import decide, threshold_logit
from layerfusion.metrics.uncertainty import Interval, share_interval
from layerfusion.pages.figures.benchmarks import in_a_line, measured_table
from layerfusion.pages.figures.formatting import interval_cells, share_text

WORDS, TIMES = "words", "inspect_photographs"  # the results that are read
SHIPPED = "photographs"  # in the study of detectors: the default
HOW = {"alone": "the score alone", "said": "as it is said"}
EVIDENCE = (EvidenceLevel.WEAK, EvidenceLevel.MODERATE, EvidenceLevel.STRONG)
RIGHT = {EvidenceLevel.NONE: "photographs", **dict.fromkeys(EVIDENCE, "generated")}


def in_a_sentence(result: Mapping[str, Any]) -> str:
    """Return how often a verdict is wrong, and what saying *unsure* costs, as Markdown."""
    said, alone = share_text(_wrong(result, "said")), share_text(at_equal_coverage(result))
    return (
        f"**Of {2 * result['per_class']} validation images, half of them generated, "
        f"`layerfusion inspect` calls {result['decided']['said']['unsure']} unsure; of the others "
        f"{said} are called wrongly. The score alone, silent on as many images, those nearest to "
        f"its threshold, is wrong of {alone}.**"
    )


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


def what_was_measured(result: Mapping[str, Any]) -> str:
    """Return which images were inspected, when and where, as Markdown."""
    return (
        f"{result['per_class']} photographs and {result['per_class']} generated images, drawn from "
        f"the detector's validation images with seed {result['seed']}, each inspected as a person "
        f"would; {in_a_line(dict(result))}."
    )


def words_table(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return how many images of each class have each word, and the share that it is right of.

    Returns
    -------
    DataFrame
        A row a way of deciding and word: ``photographs``, ``generated``, ``right``,
        ``right_low``, ``right_high``. Nothing is right of *unsure*: NaN.
    """
    rows = {}
    for how, name in HOW.items():
        for level in sorted(EvidenceLevel, reverse=True):
            counts = result["words"][how][level.text]
            own = {kind: counts[kind] for kind in ("photographs", "generated")}
            right = (own[RIGHT[level]], sum(own.values())) if level in RIGHT else (0, 0)
            rows[name, level.text] = own | share_interval(*right).columns("right")
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["decided by", "word"])


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
    return own[["photographs", "generated"]].assign(right=cells)


def what_unsure_saves(result: Mapping[str, Any]) -> str:
    """Return what becomes of the verdicts that other forms of the picture take back, as Markdown.

    A verdict is only ever taken back, never turned round: what was wrong and is so no longer, was
    withdrawn.
    """
    alone, said = (result["decided"][how] for how in ("alone", "said"))
    withdrawn = alone["decided"] - said["decided"]
    saved = alone["wrong"] - said["wrong"]
    share, before = share_interval(saved, withdrawn), _wrong(result, "alone")
    return (
        f"Other forms of the picture take back {withdrawn} verdicts, {saved} of them wrong: "
        f"{share_text(share)}, where of all verdicts {share_text(before)} were. The price is "
        f"{withdrawn - saved} right ones. {said['wrong']} wrong ones stay."
    )


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


def shown_sources(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `by_source` as a page has room for it."""
    return table[["images", "unsure"]].assign(wrong=interval_cells(table, "wrong", ".0%"))


def sources_in_a_sentence(table: pd.DataFrame) -> str:
    """Return the shares of `by_source`, of all sources and between what they lie, as Markdown."""
    wrong = table["wrong"].groupby("class")
    low, high = wrong.min(), wrong.max()
    images = table["images"]
    every = (table["wrong"] * images).groupby("class").sum() / images.groupby("class").sum()
    return (
        f"**{every['real']:.0%} of the photographs have evidence of a generated image, and "
        f"{every['synthetic']:.0%} of the generated images have none.** By source it is "
        f"{low['real']:.0%} to {high['real']:.0%} of the photographs, and "
        f"{low['synthetic']:.0%} to {high['synthetic']:.0%} of the generated images."
    )


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


def a_further_picture(result: Mapping[str, Any]) -> str:
    """Return what one picture more costs, and what a map adds, as Markdown."""
    plain = [row for row in result["measured"] if not row["maps"]]
    few, many = (pick(plain, key=lambda row: row["pictures"]) for pick in (min, max))
    mapped = next(row for row in result["measured"] if row["maps"])

    def slower(row: Mapping[str, Any]) -> float:
        return float(row["processor_seconds"] - few["processor_seconds"])

    more = slower(many) / (many["pictures"] - few["pictures"])
    added = slower(mapped) / mapped["pictures"]
    return (
        f"A further picture takes {more:.1f} seconds of a processor's core, and its map "
        f"{added:.1f} more; the rest of the first one's is libraries and weights being read."
    )


def _wrong(result: Mapping[str, Any], how: str) -> Interval:
    return Interval(*result["decided"][how]["share_wrong"])
