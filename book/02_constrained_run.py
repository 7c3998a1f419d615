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
# :::{admonition} In short
# :class: in-short
# **Question.** How is a run made, and what is its detector worth on the images that chose its
# checkpoint and threshold?
#
# **Answer.** The head and the last blocks of the encoder learn by binary cross-entropy. The epoch
# of the highest validation {term}`ROC AUC` is kept, and the {term}`threshold` maximises {term}`F1`.
# At that threshold {glue:text}`fpr` of the photographs are predicted synthetic. F1 is
# {glue:text}`f1`, {glue:text}`above` the {glue:text}`trivial` of predicting every image synthetic.
# ROC AUC, which needs no threshold, is {glue:text}`auc`.
#
# **Holds for** one training of the profile {glue:text}`profile` on {glue:text}`training` images,
# with {glue:text}`validation` validation images. These chose checkpoint and threshold, so every
# number is optimistically biased, as the paper's local ones are.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
from IPython.display import display

from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.probability import threshold_logit
from layerfusion.metrics.thresholds import resampled_best_f1_threshold
from layerfusion.metrics.uncertainty import image_interval
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import run as run_figures
from layerfusion.pages.figures import tables as table_figures
from layerfusion.pages.figures.formatting import with_interval
from layerfusion.paper import audit
from layerfusion.paths import shown
from layerfusion.training import loop

experiment = open_chapter("constrained", globals())
tables = ChapterTables("02_constrained_run", experiment)

# %% [markdown]
# ## Training images
#
# The task allows a constrained run its own training sets alone. The paper takes 75,000 photographs
# of COCO train2017 and 75,000 images of Corvi et al.'s latent diffusion set: clean files, one
# family of generators. The run warns of every {term}`shortcut feature` that it finds in its files:

# %%
for warning in experiment.warnings():
    print("note:", warning)
if len(experiment.manifest.skipped):
    display(experiment.manifest.skipped.style.hide())

# %% [markdown]
# ## Training
#
# A finished run of the same settings, data and code is read, any other is trained now. Progress is
# in the terminal.

# %%
runs = Comparison.obtain(experiment, ["local"], runs=["constrained"], fresh=fresh)
run, scored = runs.runs["constrained"], runs.scored["local"]

# %% [markdown]
# One step takes the logits of a batch, their binary cross-entropy with the labels (1 is synthetic)
# and its gradients, which are clipped, and changes the weights by AdamW:

# %% tags=["remove-input"]
source_of(loop.optimization_step)

# %% [markdown]
# Of the encoder, {glue:text}`frozen` parameters are frozen. The {glue:text}`blocks` parameters of
# its last blocks learn at a rate of {glue:text}`blocks_rate`, the {glue:text}`head` of the head at
# {glue:text}`head_rate`: pretrained weights are meant to move less than new ones. The activation is
# {glue:text}`activation` (see [The method](01_method)).
#
# After each epoch all validation images are scored. The epoch of the highest ROC AUC is kept, and
# average precision breaks a tie:

# %% tags=["remove-input"]
source_of(loop._Loop.is_best, loop._rank)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Training loss, and validation ROC AUC and average precision, by epoch; the kept epoch is ringed."}}
run_figures.training_curves({"constrained": run.record})

# %% [markdown]
# The training loss goes from {glue:text}`first_loss` to {glue:text}`last_loss`. Epoch
# {glue:text}`best_epoch` of {glue:text}`epochs` is kept, with a ROC AUC of {glue:text}`auc`.
#
# ## Block weights
#
# The class tokens of all blocks are fused by the weights {term}`alpha`, equal at the start.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Alpha of every transformer block as bars, beside a grey line at equal weights."}}
run_figures.block_weights({"constrained": run.record})

# %% [markdown]
# Alpha ends between {glue:text}`alpha_min` and {glue:text}`alpha_max`; equal weights are
# {glue:text}`alpha_equal`. It does not say what a block is worth: the projection is shared, so the
# size of a block's tokens counts as well. [Ablations](08_ablations) measures what learned weights
# add to equal ones.
#
# ## The threshold
#
# Every observed score is tried as a threshold, and the one of the largest F1 is taken. F1 counts true
# positives (`tp`) and both kinds of errors, but no true negatives. A row of the arrays is a resample
# of the images, the first row the images themselves:

# %% tags=["remove-input"]
source_of(resampled_best_f1_threshold)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "F1 over the threshold, with a mark at its top and a grey line at the F1 of predicting every image synthetic."}}
run_figures.f1_over_threshold(scored)

# %% [markdown]
# The top is at the logit {glue:text}`logit`, the probability {glue:text}`threshold`. At the left end
# every image is predicted synthetic, at an F1 of {glue:text}`trivial`. The best threshold adds
# {glue:text}`gain` to that.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Histogram of the logits of real and of synthetic validation images, with the threshold as a dashed line."}}
run_figures.score_histogram(run.predictions(), run.record.threshold)

# %% [markdown]
# Images to the right of the line are predicted synthetic. Where the classes overlap, recall costs
# false positives.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Confusion matrix: counts of real and synthetic images by predicted class."}}
run_figures.confusion(run.record)

# %% [markdown]
# Of {glue:text}`synthetic` synthetic images {glue:text}`tp` are predicted synthetic, and of
# {glue:text}`real` photographs {glue:text}`fp` ({glue:text}`fpr`). At a threshold of 0.5 the same
# scores give other rates:

# %% tags=["nbval-ignore-output"]
thresholds = tables.keep("thresholds", table_figures.threshold_table(run.record))
thresholds.rename(columns=table_figures.METRICS).style.format("{:.3g}")

# %% tags=["remove-cell", "nbval-ignore-output"]
record, own = run.record, scored["constrained"]
metrics, trained, alpha = record.metrics, record.settings["training"], record.block_weights
counts, losses = metrics["calibrated"], [epoch["training_loss"] for epoch in record.history]
real, synthetic = metrics["images"] - metrics["synthetic_images"], metrics["synthetic_images"]
trivial = audit.all_synthetic_f1(real, synthetic)
f1 = image_interval(own.values("f1")[0]).row()
glue_texts(
    profile=experiment.profile.name,
    training=f"{record.data['training_images']:,}",
    validation=f"{metrics['images']:,}",
    frozen=f"{record.parameters['frozen']:,}",
    blocks=f"{record.parameters['trained_blocks']:,}",
    head=f"{record.parameters['head']:,}",
    blocks_rate=f"{trained['backbone_learning_rate']:g}",
    head_rate=f"{trained['head_learning_rate']:g}",
    activation={"gelu": "GELU", "quick_gelu": "QuickGELU"}.get(
        record.activation, record.activation
    ),
    first_loss=f"{losses[0]:.3f}",
    last_loss=f"{losses[-1]:.3f}",
    best_epoch=str(record.best_epoch),
    epochs=str(len(losses)),
    alpha_min=f"{min(alpha):.3f} (block {alpha.index(min(alpha)) + 1})",
    alpha_max=f"{max(alpha):.3f} (block {alpha.index(max(alpha)) + 1})",
    alpha_equal=f"{1 / len(alpha):.3f}",
    logit=f"{threshold_logit(record.threshold):.2f}",
    threshold=f"{record.threshold:.3g}",
    worth=f"{(2 - counts['f1']) / counts['f1']:.1f}" if counts["f1"] else "no",
    folder=shown(run.directory),
    trivial=f"{trivial:.3f}",
    f1=with_interval(f1, "estimate"),
    gain=with_interval({name: value - trivial for name, value in f1.items()}, "estimate", "+.3f"),
    above="above" if f1["low"] > trivial else "not shown to be above",
    auc=with_interval(image_interval(own.values("roc_auc")[0]).row(), "estimate"),
    fpr=f"{counts['false_positives'] / real:.0%}",
    fp=f"{counts['false_positives']:,}",
    tp=f"{counts['true_positives']:,}",
    real=f"{real:,}",
    synthetic=f"{synthetic:,}",
)

# %% [markdown]
# At this F1 one more true positive outweighs {glue:text}`worth` more false positives. The best
# threshold may therefore predict most photographs synthetic;
# [Choosing a threshold](11_thresholds) has rules for other purposes.
#
# ## Other parameters
#
# A page is a script, and its first cell holds its parameters. From the command line:
#
# ```bash
# papermill book/03_open_run.py out.ipynb -p seed 1337
# papermill book/03_open_run.py out.ipynb -p profile folder -p data_root DIR
# papermill book/03_open_run.py out.ipynb -y "settings: {training.epochs: 1}"
# ```
#
# | Parameter | Meaning |
# |---|---|
# | `profile` | all settings of a run: `demo`, `folder`, `photographs`, or `paper` for the full-size model |
# | `seed` | fixes every random draw of a training |
# | `data_root` | folder of the images; the demo makes its own |
# | `fresh` | trains again even if a finished run exists |
# | `settings` | replaces single settings of the profile by their dotted names |
#
# A run is one folder, here {glue:text}`folder`: `record.json` with settings, metrics and history,
# `predictions.parquet` of the validation images, `manifest.parquet` (not committed), and `detector/`, which
# `layerfusion score --detector` reads.
#
# :::{admonition} What to remember
# :class: remember
# - ROC AUC chooses the epoch and F1 the threshold, both on the validation images.
# - An F1 is read beside that of predicting every image synthetic, {glue:text}`trivial`, and beside
#   the share of photographs predicted synthetic, {glue:text}`fpr`.
# - Alpha is not the importance of a block.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Half of a benchmark's images are photographs. Which F1 has a detector that predicts every image
# synthetic, and how much does this page's detector add?
# ```{dropdown} Answer
# Its precision is 1/2 and its recall is 1, so F1 = 2 · (1/2) · 1 / (1/2 + 1) = 2/3. On this page's
# images it is {glue:text}`trivial`, and the detector adds {glue:text}`gain`.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare(run)
compared

# %% tags=["remove-cell"]
print(compared.verdict)
