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
# # Ablations
#
# :::{admonition} In short
# :class: in-short
# **Question.** What is each part of the method worth? The paper has no ablation.
#
# **Answer.** Learned {term}`block weights <alpha>` are not needed: equal weights differ from them
# by less than {glue:text}`weights_bound` in {term}`ROC AUC`. Reading the last block alone changes
# ROC AUC by {glue:text}`last_constrained` in the constrained run and by {glue:text}`last_open` in
# the open run, reading the first block alone by {glue:text}`first_alone`. Leaving out any one block
# changes {glue:text}`without_measurable`. All that was tried of trained blocks, augmentations,
# activations and training images changes {glue:text}`other_measurable`.
#
# **Holds for** photographs and generated images, CLIP ViT-B/16 and at most
# {glue:text}`most_images` training images; not for the paper's ViT-L/14 and its data.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd

from layerfusion.experiments import catalogue
from layerfusion.experiments.record import published_study
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts
from layerfusion.pages.figures import effects
from layerfusion.pages.figures.formatting import with_interval
from layerfusion.paths import reference_folder

tables = ChapterTables("08_ablations", checked_parameters(globals()))
folder = reference_folder("photographs")

# %% [markdown]
# ## All differences
#
# Each question is a study: trainings that differ in one thing, each with several seeds. All
# variants of a study score the same validation images, so that a difference is paired by seed and
# image. Its 95 % interval is over other sources and other seeds. The predictions are committed; no
# image and no weight is needed.

# %%
studies = {name: published_study(folder, name) for name in catalogue.ABLATIONS}
found = {name: effects.variants_table(study) for name, study in studies.items()}
counts = tables.keep("overview", effects.overview(found), fixed=True)
counts.rename(index={name: study.record.question for name, study in studies.items()})

# %% tags=["remove-cell"]
for name, table in found.items():
    tables.keep(name, table, fixed=True)
    largest = table.loc[table["difference"].abs().idxmax()]
    glue_texts(
        **{
            f"{name}_largest": with_interval(largest, "difference", "+.3f"),
            f"{name}_largest_of": f"{largest['variant']}, {largest['run']} run",
            f"{name}_measurable": effects.counted(effects.measurable(table)),
        }
    )


def cell(study, variant, form="+.3f"):
    return with_interval(found[study].loc[variant], "difference", form)


equal = found["weights"].filter(regex="equal|feature", axis="index")
ends = equal[["difference_low", "difference_high"]].abs().to_numpy()
bound = math.ceil(1000 * np.nanmax(ends)) / 1000
blocks = found["blocks"]
alone, without = (blocks[blocks.index.str.contains(kind)] for kind in ("only", "without"))
best, worst = (blocks.loc[getattr(alone["roc_auc"], which)()] for which in ("idxmax", "idxmin"))
others = [name for name in found if name not in ("weights", "blocks")]
other = pd.concat([effects.measurable(found[name]) for name in others])
glue_texts(
    weights_bound=f"{bound:.3f}",
    equal_constrained=cell("weights", "constrained-equal", "+.4f"),
    equal_open=cell("weights", "open-equal", "+.4f"),
    last_constrained=cell("weights", "constrained-last"),
    last_open=cell("weights", "open-last"),
    first_alone=cell("blocks", "constrained-only-1"),
    alone_measurable=effects.counted(effects.measurable(alone)),
    alone_below=f"{(alone['difference'] < 0).sum()} of {len(alone)}",
    best_alone=f"{best['variant']} with {with_interval(best, 'roc_auc')}",
    worst_alone=f"{worst['variant']} with {with_interval(worst, 'roc_auc')}",
    together=with_interval(blocks.loc["constrained-all"], "roc_auc"),
    without_measurable=effects.counted(effects.measurable(without)),
    without_most=f"{without['difference'].abs().max():.3f}",
    other_measurable=effects.counted(other),
    kind=cell("data", "open-equal"),
    number=cell("data", "open"),
    most_images=f"{max(table['images'].max() for table in found.values()):,}",
    measured=str(counts[["lower", "higher"]].to_numpy().sum()),
    all_differences=str(counts["differences"].sum()),
    by_chance=f"{counts['by chance'].sum():.1f}",
    corrected=str(counts["after correction"].sum() or "none"),
)

# %% [markdown]
# *Lower* and *higher* count the intervals that exclude 0: {glue:text}`measured` of
# {glue:text}`all_differences`, where {glue:text}`by_chance` would if nothing differed. After
# Holm's correction within each study {glue:text}`corrected` remain. An interval that contains 0
# belongs to an effect that is too small for these images to show, or to none.
#
# ## Are learned weights needed?

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Differences of ROC AUC from learned weights in both runs: equal weights and weights of each feature at 0, the last block alone below."}}
effects.draw_variants(found["weights"])

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of weights"}
effects.cells_table(found["weights"])

# %% [markdown]
# No. Equal weights differ from learned ones by {glue:text}`equal_constrained` in the constrained
# run and by {glue:text}`equal_open` in the open run. A weight for each block and feature changes as
# little. Which blocks the head reads can matter more: the last one alone changes ROC AUC by
# {glue:text}`last_constrained` and {glue:text}`last_open`.
#
# ## Which blocks are needed?
#
# One head reads a single block, another all blocks but one (constrained run):

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Difference of ROC AUC from all blocks, over the block's number: single early blocks lie far below, late ones nearer; leaving a block out stays near 0."}}
effects.draw_blocks(found["blocks"])

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of blocks"}
effects.cells_table(found["blocks"])

# %% [markdown]
# All blocks together reach {glue:text}`together`. Of single blocks, {glue:text}`alone_below` score
# lower: the lowest is {glue:text}`worst_alone`, the highest {glue:text}`best_alone`. Reading one
# block alone changes {glue:text}`alone_measurable`. Leaving one out moves ROC AUC by at most
# {glue:text}`without_most`; this changes {glue:text}`without_measurable`.
#
# ## Should the encoder's blocks be trained?

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Differences of ROC AUC from a frozen encoder with one, two and four of its last blocks trained, both runs."}}
effects.draw_variants(found["trained"])

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of trained blocks"}
effects.cells_table(found["trained"])

# %% [markdown]
# The paper trains the last two blocks. Compared with a frozen encoder this changes
# {glue:text}`trained_measurable`. The largest difference is {glue:text}`trained_largest`
# ({glue:text}`trained_largest_of`).
#
# ## Which augmentations help?

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Differences of ROC AUC from all augmentations, each left out in turn and all left out, both runs."}}
effects.draw_variants(found["augmentations"])

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of augmentations"}
effects.cells_table(found["augmentations"])

# %% [markdown]
# Leaving augmentations out changes {glue:text}`augmentations_measurable`. The largest difference is
# {glue:text}`augmentations_largest` ({glue:text}`augmentations_largest_of`). These are clean
# validation images; [On platforms](13_platforms) has degraded ones.
#
# ## Does the activation matter?

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Difference of ROC AUC between GELU and QuickGELU, the activation that the weights were trained with, both runs."}}
effects.draw_variants(found["activation"])

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of activations"}
effects.cells_table(found["activation"])

# %% [markdown]
# The wrong activation for the weights, GELU, changes {glue:text}`activation_measurable`. The
# largest difference is {glue:text}`activation_largest` ({glue:text}`activation_largest_of`).
#
# ## Other training images, or more of them?

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Differences of ROC AUC: the open run's kinds of images in the constrained run's number, then all of the open run's images."}}
effects.draw_variants(found["data"])

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Differences of ROC AUC from all training images with a quarter and a half of them, a panel for each run."}}
effects.draw_variants(found["curve"])

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show both tables of training images"}
effects.cells_table(pd.concat([found["data"], found["curve"]]))

# %% [markdown]
# The open run has other kinds of images and more of them. The kinds alone add {glue:text}`kind` and
# the number alone {glue:text}`number`. Fewer images than all change
# {glue:text}`curve_measurable`; the largest difference is {glue:text}`curve_largest`
# ({glue:text}`curve_largest_of`).
#
# ## How to read these numbers
#
# Checkpoints were chosen on the images that are scored, for every variant alike. Some studies score
# more validation images than others, so that only numbers of one study are compared. The column
# `machines` of the CSV tables names the processors of a difference. A question without a table was
# not run: `layerfusion study --help` lists all of them. These commands repeat the studies:

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show commands and compute cost"}
made = {name: effects.training_costs(study) for name, study in studies.items()}
costs = tables.keep("costs", pd.DataFrame(made).T, fixed=True)
print("\n".join(costs["command"]))
costs[["images", "seeds", "trainings", "minutes"]]

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - Equal block weights do as well as learned ones: alpha is not what the method gains from.
# - The last block alone is worse in the constrained run, and may be in the open run. Leaving out one
#   block changes {glue:text}`without_measurable`.
# - An interval that contains 0 says that an effect was not shown, not that there is none.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Which two rows together say that alpha need not be learned, but that blocks should be read?
# ```{dropdown} Answer
# *Equal weights*, {glue:text}`equal_constrained`: nothing is lost without learning. And *last block
# alone*, {glue:text}`last_constrained` in the constrained run: something is lost without the other
# blocks. In the open run, {glue:text}`last_open`, the second is less certain.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare()
compared

# %% tags=["remove-cell"]
print(compared.verdict)
