# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Is it the layers?
#
# :::{admonition} In short
# :class: in-short
# **Question.** Do the other blocks make a detector better, and is it their weighted sum that does?
#
# **Answer.** In two parts, for the open run on official images. All blocks under the paper's fusion
# are {glue:text}`fusion_last` above the last block alone, in {term}`ROC AUC`. Their class tokens
# side by side, in one linear layer, are {glue:text}`side_fusion` above the fusion. Of the
# {glue:text}`n_steps` changes of the fusion that are tried here, {glue:text}`n_told` can be told
# from none after correction; {glue:text}`n_small` lie within {glue:text}`margin`, intervals and all.
#
# **Holds for** a frozen CLIP ViT-B/16, {glue:text}`training_images` training images, and
# {glue:text}`images` official images of {glue:text}`sources` sources that lie nowhere else. The
# paper fine-tunes the last two blocks of ViT-L/14.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown

from layerfusion.experiments.baselines import choosing, lattice, mold, registry
from layerfusion.experiments.record import published_study
from layerfusion.metrics.measured import MeasuredInterval
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import layers
from layerfusion.pages.figures.formatting import interval_cells, with_interval
from layerfusion.paths import reference_folder
from layerfusion.provenance import processor_name

tables = ChapterTables("09_layers", checked_parameters(globals()))
study = published_study(reference_folder("photographs"), "layers")

# %% [markdown]
# ## What a single block knows
#
# A linear probe on the class token after each block, as dots over the block's number. Lines are the
# two ways of reading all blocks: their weighted sum, which is the paper's, and all numbers of all
# blocks side by side.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "ROC AUC of a linear probe on each block, rising from the first blocks to the later ones, below lines of the paper's fusion and of tokens side by side; a panel for validation and one for official images."}}
ranked = pd.concat(
    layers.ranking(study, run, on).assign(run=run, on=on)
    for on in study.record.conditions
    for run in ("constrained", "open")
)
probes = tables.keep("probes", layers.probes(study), fixed=True)
layers.draw_probes(probes, ranked)

# %% tags=["remove-cell"]
best = probes.set_index(["run", "on", "block"])["roc_auc"].groupby(level=[0, 1]).idxmax()
blocks = {(run, on): block for run, on, block in best}
top = {
    "fusion_last": ("open-fusion", "open-fusion-last", "official"),
    "fusion_last_local": ("open-fusion", "open-fusion-last", "local"),
    "side_fusion": ("open-side-by-side", "open-fusion", "official"),
    "side_fusion_local": ("open-side-by-side", "open-fusion", "local"),
    "side_fusion_constrained": ("constrained-side-by-side", "constrained-fusion", "official"),
    "fusion_probe": ("open-fusion", "open-linear-probe", "official"),
    "layer": ("open-fusion-last", "open-linear-probe", "official"),
    "side_best": ("open-side-by-side", f"open-block-{blocks['open', 'local']}", "official"),
    "mold": ("open-mold", "open-fusion", "official"),
    "rine": ("open-rine", "open-fusion", "official"),
    "own_training": ("open", "open-fusion", "official"),
}


def text_of(found: MeasuredInterval) -> str:
    """Return a difference with its interval."""
    return with_interval(found.columns("rise"), "rise", "+.3f")


glue_texts(
    **{key: text_of(layers.above(study, *names)) for key, names in top.items()},
    best_local=str(blocks["open", "local"]),
    best_official=str(blocks["open", "official"]),
    images=f"{len(study.scored['official']['open'].images):,}",
    sources=str(study.scored["official"]["open"].images["source"].nunique()),
    training_images=f"{max(cell.training_images for cell in study.record.cells):,}",
    margin=f"{layers.MARGIN:g}",
    seeds=str(len(study.record.seeds)),
)

# %% [markdown]
# The best single block is {glue:text}`best_local` on validation images and
# {glue:text}`best_official` on official ones (open run). Tokens side by side are
# {glue:text}`side_best` above the one that validation images would choose, on official images.
#
# ## Every detector, trained by one rule
#
# All detectors learn from the same augmented views through the same frozen encoder. Each that has
# settings gets six tries, judged on training sources that a try has not seen; no validation image
# chooses a setting:

# %% tags=["remove-input"]
source_of(choosing.choose)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "ROC AUC of all detectors with intervals, validation images on the left and official images on the right, constrained and open run; tokens side by side and heads that read all blocks lie on top, nearest neighbours at the bottom."}}
layers.draw_ranking(dict(list(ranked.groupby("on", sort=False))))

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the ranking on official images"}
tables.keep("ranking", ranked.drop(columns="seconds"), fixed=True)
official = ranked[ranked["on"] == "official"]
cells = official[["run", "detector", "rank", "parameters"]].assign(
    auc=interval_cells(official, "roc_auc"),
    over_sources=official["rank_low"].astype(str) + " to " + official["rank_high"].astype(str),
    training=official["training"].round(3),
)
names = {"auc": "ROC AUC", "over_sources": "95 % of ranks", "training": "on its training views"}
cells.set_index(["run", "detector"]).rename(columns=names)

# %% [markdown]
# Ranks have intervals, from resamples of the sources: with so few of them, the order in the middle
# is chance. What stands apart are the nearest neighbours at the end. The paper's head as the paper
# trains it is {glue:text}`own_training` above the same head under the common rule.
#
# RINE {cite:p}`koutlis2024leveraging` and MoLD {cite:p}`park2025rethinking` also read all blocks, and are {glue:text}`rine` and
# {glue:text}`mold` above the paper's fusion. A linear probe on CLIP's final embedding
# {cite:p}`ojha2023towards` is what both parts of the gain are measured from: the fusion is
# {glue:text}`fusion_probe` above it, of which the second layer alone, on the last block, is
# {glue:text}`layer`. SimLBR {cite:p}`dhakal2026simlbr` reads the last block too.
#
# Every detector fits the views that it learnt from: the last column of the table has no chance in
# it. (Nearest neighbours find each view itself.)
#
# ## The lattice between them
#
# The paper's fusion, MoLD, RINE and tokens side by side differ in a few choices. Each can be changed
# alone:

# %% tags=["remove-input"]
source_of(lattice.Fusion.alpha, lattice.Fusion.forward)

# %% [markdown]
# Weights may be a softmax, equal, or of any sign; one a block or one a feature. Blocks may be fused
# before the nonlinearity or after it, through one projection or one each, from tokens as they are
# or layer-normalised, and without any nonlinearity. With one weight a block, to fuse features after
# the nonlinearity and to fuse logits is the same function. The sum of all those changes in the
# linear direction is tokens side by side.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Rise of ROC AUC of each step of the lattice on official images, both runs, as intervals over a line at 0 with a grey band of .01 on either side."}}
steps = tables.keep("steps", layers.steps(study), fixed=True)
layers.draw_steps(steps, "official")

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show all steps"}
shown = steps.assign(rise=interval_cells(steps, "effect", "+.3f"))
shown.set_index(["on", "run", "change", "start"])[["rise", "verdict"]]

# %% tags=["remove-cell"]
judged = steps[(steps["run"] == "open") & (steps["on"] == "official")]
counts = judged["verdict"].value_counts()
glue_texts(
    n_steps=str(len(judged)),
    n_told=str(counts.reindex(["higher", "lower"]).sum().astype(int) or "none"),
    n_small=str(counts.get("within .01", 0) or "none"),
    n_not_higher=str(int((judged["high"] < layers.MARGIN).sum())),
)

# %% [markdown]
# Of {glue:text}`n_steps` steps {glue:text}`n_not_higher` cannot raise ROC AUC by
# {glue:text}`margin` on official images, as far as their intervals go. Equal weights do what learned
# ones do, in this table as on page [08](08_ablations).
#
# ## The nearest relative
#
# MoLD was published five months before the paper. The whole of it:

# %% tags=["remove-input"]
source_of(mold.Mold)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show how each baseline differs from its public code"}
Markdown(layers.described(list(registry.BASELINES)))

# %% [markdown]
# ## Your own detector beside them
#
# Any module of PyTorch that maps uint8 crops to logits, or any function of image files that returns
# scores, enters the same study, images and intervals:
#
# ```python
# Study.open("layers", profile="photographs", data_root="photos", seeds=10,
#            beside={"mine": my_detector}).obtain()
# ```

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show command and compute cost"}
seconds = study.record.seconds
print(study.record.command)
print(f"choosing and fitting: {seconds['training'] / 60:.0f} minutes")
print(f"features of the frozen encoder: {seconds['scoring'] / 60:.0f} minutes")
print(processor_name(study.record.provenance))

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - Two questions hide in the title: whether other blocks help, and whether a weighted sum is how.
# - A linear layer on all tokens side by side has no fusion in it, and is the detector to beat.
# - Learned weights, equal ones and weights of any sign cannot be told apart here.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# The fusion with no nonlinearity is linear in all tokens, as tokens side by side are. What can the
# second do that the first cannot?
# ```{dropdown} Answer
# The fusion looks in one direction of feature space, the same in every block, and weighs blocks
# against each other by one number each. Side by side, each block has a direction of its own: a trace
# that lies in other features of block 4 than of block 11 can be read in both.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
beside = tables.compare()
beside

# %% tags=["remove-cell"]
print(beside.verdict)
