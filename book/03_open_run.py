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
# # The open run
#
# The open run adds social-media images to the constrained run's training data, in the paper 60,000
# real and 60,000 synthetic ones of TrueFake, downloaded again from Facebook, Telegram and Twitter.
# Encoder, head, settings, seed and validation images stay as they were, so whatever differs between
# this page and [the one before](02_constrained_run) comes of those images. In the paper they raise
# local F1 and ROC AUC, and most of the gain is recall. This chapter lays the open run over the
# constrained one: what was added, how training went, and which predictions flip.
#
# The parameters below can be replaced from the command line:
# `papermill book/03_open_run.py out.ipynb -p seed 1337`, or `-p profile folder -p data_root DIR`
# for your own images, or `-p profile paper` for the full-size model. `settings` replaces single
# settings of the profile by their dotted names: `-y "settings: {training.epochs: 1}"`.

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
from layerfusion.pages.figures import errors, sheets, style, tables
from layerfusion.pages.figures import run as run_figures
from layerfusion.metrics.flips import added_images, count_flips, flips

experiment = open_chapter("open", globals())
kept = ChapterTables("03_open_run", experiment)
display(Markdown(experiment.profile.about))
if experiment.profile.notice:
    display(Markdown(f"**{experiment.profile.notice}.**"))

# %% [markdown]
# Both runs of this profile and seed. What lies on this machine is read, anything else is trained
# now; `-p fresh True` trains both anew.

# %%
runs = Comparison.obtain(experiment, ["local"], fresh=fresh)
scored = runs.scored["local"]
run = runs.runs["open"]
records = {name: finished.record for name, finished in runs.runs.items()}

# %% [markdown]
# ## What the social images add
#
# The training images that the open run has and the constrained run has not, by generator and
# platform. A photograph has no generator. Two things come at once: generators that the constrained
# run has never seen, and the traces of platforms, which scale and recompress real and synthetic
# images alike. This run cannot tell which of the two helps.

# %% tags=["nbval-ignore-output"]
training = {name: own.training.rows for name, own in runs.experiments.items()}
added = kept.keep("added", added_images(training))
rows = ["source", "class", "generator"]
added.pivot_table(index=rows, columns="platform", values="images", aggfunc="sum", fill_value=0)

# %% [markdown]
# What should be known of the open run's images before its numbers are:

# %%
for warning in experiment.warnings():
    print("note:", warning)
for name, record in records.items():
    print(f"{name:<12}{record.data['training_images']:>9,} training images")

# %% [markdown]
# ## Training
#
# Loss and validation ROC AUC of both runs, epoch by epoch. The losses are of different images and
# cannot be compared: social images are harder, and a higher loss on them is no worse detector. The
# ROC AUC is of the same validation images for both, and it chooses the checkpoint.

# %% tags=["nbval-ignore-output"]
run_figures.training_curves(records)

# %% [markdown]
# ## Which blocks count
#
# The softmax weights $\alpha_l$ of the fusion $z(x) = \sum_l \alpha_l (W_p h_l(x) + b_p)$, all of
# them $1/L$ at the start. Where the runs' bars differ, other images ask for other depths.

# %% tags=["nbval-ignore-output"]
run_figures.block_weights(records)

# %% [markdown]
# ## Scores
#
# The ROC curve over that of the constrained run. Where it lies higher, the open run finds more
# synthetic images at the same share of false alarms, whatever the thresholds. The marks are where
# the thresholds put the runs.

# %% tags=["nbval-ignore-output"]
run_figures.roc_curves(scored)

# %% [markdown]
# The open run's own threshold maximises F1 on the validation images. These images also chose
# the checkpoint, so the numbers below are optimistic, as the paper's local ones are.

# %% tags=["nbval-ignore-output"]
kept.keep("thresholds", tables.threshold_table(run.record)).round(4)

# %% [markdown]
# ## Which predictions flip
#
# Each run has its own threshold. *Corrected* is what the constrained run gets wrong and the open
# run right, *regressed* the other way round; *net* is the share corrected less the share regressed,
# with its interval over other images. A run can be better on the whole and still regress: the
# better run of two is not better everywhere.

# %% tags=["nbval-ignore-output"]
kept.keep("sides", count_flips(scored)).round(3)

# %% [markdown]
# By platform, where *none* was never shared, and by generator. If the social images teach what
# platforms leave behind, shared images are corrected first.

# %% tags=["nbval-ignore-output"]
errors.prediction_flips(kept.keep("sides_by_platform", count_flips(scored, ["platform"])))

# %% tags=["nbval-ignore-output"]
kept.keep("sides_by_generator", count_flips(scored, ["generator"])).round(3)

# %% [markdown]
# The images whose logit moved furthest on their way to the other side. Nothing was chosen by hand.

# %% tags=["nbval-ignore-output"]
style.as_jpeg(sheets.flips_gallery(experiment.manifest, flips(scored)))

# %% [markdown]
# ## The row of Table 1
#
# The paper's numbers are those of ViT-L/14 on 10,000 images in the wild. Only a run of the `paper`
# profile on the same data can be held against them; for any other profile they are there to show
# what belongs in the row.

# %% tags=["nbval-ignore-output"]
row = tables.side_by_side(tables.local_row("open"), runs, experiment.profile.name)
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
# What it leaves behind lies in one folder, as the constrained run's does:

# %% tags=["nbval-ignore-output"]
print(tables.headline(run))
