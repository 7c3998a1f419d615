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
# # The constrained run
#
# The task allows a constrained run nothing but its own training sets. The paper uses 75,000
# photographs of COCO train2017 as real images and 75,000 images of Corvi et al.'s latent diffusion
# set as synthetic ones: clean files, one family of generators. What a detector makes of that when
# it meets social media is the question of the next chapter.
#
# The parameters below can be replaced from the command line:
# `papermill book/02_constrained_run.py out.ipynb -p seed 1337`, or
# `-p profile folder -p data_root DIR` for your own images, or `-p profile paper` for the full-size
# model. `settings` replaces single settings of the profile by their dotted names:
# `-y "settings: {training.epochs: 1}"`.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.analysis.comparison import Comparison
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.figures import run as run_figures
from layerfusion.pages.figures import tables

experiment = open_chapter("constrained", globals())
kept = ChapterTables("02_constrained_run", experiment)

# %% [markdown]
# ## Profile and data
#
# A profile holds every setting of a run; two runs of one profile differ in their training images
# alone.

# %%
display(Markdown(experiment.profile.about))
if experiment.profile.notice:
    display(Markdown(f"**{experiment.profile.notice}.**"))

# %% [markdown]
# The manifest has a row for every image file. Files that cannot be read are left out of it and
# listed. Whatever format or size gives away, a detector can learn instead of the traces that it is
# meant to learn, so the manifest says what they give away: COCO is JPEG and Corvi's set is PNG.

# %%
display(experiment.manifest.summary())
if len(experiment.manifest.skipped):
    display(experiment.manifest.skipped)
for warning in experiment.warnings():
    print("note:", warning)

# %% [markdown]
# An image that lies in two splits would be tested on what was learnt by heart.

# %%
duplicates = experiment.duplicates()
print(f"{len(duplicates)} pairs of equal or nearly equal images across splits")
if len(duplicates):
    display(duplicates.head(10))

# %% [markdown]
# ## Training
#
# If a finished run of the same settings, data and code lies on this machine it is read, otherwise
# it is trained now; which of the two is said in the terminal, as is the progress, so that this
# page stays the same. `-p fresh True` trains anew.

# %%
run = experiment.obtain(fresh=fresh)

# %% [markdown]
# The head and the last blocks of the encoder are trained, the rest is frozen. The activation is
# part of the record because it is a trap: OpenAI's CLIP was trained with QuickGELU,
# $x\,\sigma(1.702\,x)$, but OpenCLIP builds `ViT-L-14` with plain GELU and only warns when OpenAI's
# weights are loaded into it. Features then differ from those that the weights were trained to give.
# The published numbers were most likely made with plain GELU. The setting `encoder.activation` is
# `quick_gelu`, `gelu`, or `auto`, which follows the weights.

# %%
print(f"activation of the encoder: {run.record.activation}")
for part, count in run.record.parameters.items():
    print(f"{part:<16}{count:>12,} parameters")

# %% [markdown]
# Training loss and validation metrics, epoch by epoch. The checkpoint of the highest validation
# ROC AUC is kept, with average precision to break a tie.

# %% tags=["nbval-ignore-output"]
run_figures.training_curves({"constrained": run.record})
# %% [markdown]
# ## Which blocks count
#
# The class token $h_l(x)$ of every block $l$ is projected by one shared $W_p, b_p$, and the
# detector learns one weight $\alpha_l$ for each block, by softmax over all of them:
#
# $$z(x) = \sum_{l=1}^{L} \alpha_l \, (W_p h_l(x) + b_p).$$
#
# All weights start at $1/L$.

# %% tags=["nbval-ignore-output"]
run_figures.block_weights({"constrained": run.record})
# %% [markdown]
# ## Scores and threshold
#
# The threshold is the score that maximises F1 on the validation images. These images also chose
# the checkpoint, so the numbers below are optimistic, as the paper's local ones are.

# %% tags=["nbval-ignore-output"]
run_figures.score_histogram(run.predictions(), run.record.threshold)
# %% tags=["nbval-ignore-output"]
kept.keep("thresholds", tables.threshold_table(run.record)).round(4)

# %% tags=["nbval-ignore-output"]
run_figures.confusion(run.record)
# %% [markdown]
# ## The row of Table 1
#
# The paper's numbers are those of ViT-L/14 on 10,000 images in the wild. Only a run of the `paper`
# profile on the same data can be held against them; for any other profile they are there to show
# what belongs in the row.

# %% tags=["nbval-ignore-output"]
alone = Comparison.obtain(experiment, ["local"], runs=["constrained"])
row = tables.side_by_side(tables.local_row("constrained"), alone, experiment.profile.name)
tables.styled(kept.keep("table_1_row", row), experiment.profile.name)

# %% [markdown]
# ## Beside the recorded execution
#
# What was just computed, held against what this repository records of the same chapter. On the
# same kind of processor every digit is the same. Elsewhere the last bits differ, training amplifies
# them, and a threshold can jump: [Reproducing](reproducing) shows how far numbers move.

# %% tags=["nbval-ignore-output"]
compared = kept.compare(run)
compared

# %%
print(compared.verdict)

# %% [markdown]
# ## What this run leaves behind
#
# One folder: `record.json` with settings, metrics, history and provenance, `predictions.parquet`
# with a row for every validation image, `manifest.parquet`, and `detector/`, which
# `layerfusion score --detector` reads.

# %% tags=["nbval-ignore-output"]
print(tables.headline(run))
