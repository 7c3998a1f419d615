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
# :::{admonition} In short
# :class: in-short
# **Question.** What do social-media images in the training data change?
#
# **Answer.** Compared with the constrained run, {term}`ROC AUC` is {glue:text}`roc_auc_verdict`
# ({glue:text}`roc_auc`), {term}`F1` is {glue:text}`f1_verdict` ({glue:text}`f1`), {term}`recall` is
# {glue:text}`recall_verdict` ({glue:text}`recall`) and {term}`FPR` is {glue:text}`fpr_verdict`
# ({glue:text}`fpr`). {glue:text}`corrected` wrong predictions become correct,
# {glue:text}`regressed` correct ones become wrong.
#
# **Holds for** one training of each run of the profile {glue:text}`profile`, on the same
# {glue:text}`images` validation images. The intervals are over other images of the same sources and
# contain no variance between seeds; [On photographs](10_photographs) has several seeds.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
from layerfusion.analysis.comparison import Comparison
from layerfusion.metrics.flips import added_images, count_flips, flips
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import errors, sheets, style
from layerfusion.pages.figures import run as run_figures
from layerfusion.pages.figures import tables as table_figures
from layerfusion.pages.figures.formatting import interval_cells, with_interval
from layerfusion.paper import numbers as paper

experiment = open_chapter("open", globals())
tables = ChapterTables("03_open_run", experiment)

# %% [markdown]
# ## What is added
#
# The open run is made as [the constrained run](02_constrained_run), which also has the command that
# executes this page. Encoder, head, settings, seed and validation images are the same; training
# images are added. In the paper these are 60,000 real and 60,000 synthetic images of TrueFake,
# downloaded again from Facebook, Telegram and Twitter. The open run's own numbers and record:

# %% tags=["nbval-ignore-output"]
runs = Comparison.obtain(experiment, ["local"], fresh=fresh)
scored = runs.scored["local"]
print(table_figures.headline(runs.runs["open"]))

# %% [markdown]
# The images that the open run has and the constrained run has not, by generator and platform:

# %% tags=["nbval-ignore-output"]
training = {run: own.training.rows for run, own in runs.experiments.items()}
added = tables.keep("added", added_images(training))
wide = added.pivot_table("images", ["class", "generator"], "platform", "sum", fill_value=0)
wide.rename_axis(columns=None).reset_index().style.hide()

# %% [markdown]
# {glue:text}`training_constrained` training images become {glue:text}`training_open`. Two things
# are added at once: generators, of which {glue:text}`new_generators` are new, and the traces of
# platforms, which scale and recompress photographs and synthetic images alike. The two runs cannot
# tell which of them matters.

# %% tags=["nbval-ignore-output", "remove-input", "hide-output"] mystnb={"code_prompt_show": "Show training of both runs", "image": {"alt": "Training loss and validation metrics of both runs by epoch; kept epochs are ringed."}}
records = {name: run.record for name, run in runs.runs.items()}
run_figures.training_curves(records)

# %% tags=["nbval-ignore-output", "remove-input", "hide-output"] mystnb={"code_prompt_show": "Show block weights of both runs", "image": {"alt": "Alpha of every block in both runs, as pairs of bars beside a grey line at equal weights."}}
run_figures.block_weights(records)

# %% [markdown]
# The kept epochs are {glue:text}`epoch_constrained` and {glue:text}`epoch_open`. Losses of
# different images cannot be compared. The block weights differ by {glue:text}`alpha_difference` at
# most.
#
# ## Ranking and rates

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "ROC curves of both runs over each other, with a mark where each threshold lies and the diagonal of chance."}}
run_figures.roc_curves(scored)

# %% [markdown]
# A higher curve finds more synthetic images at the same share of photographs predicted synthetic,
# whatever the threshold. The marks are the runs' own thresholds, {glue:text}`threshold_constrained`
# and {glue:text}`threshold_open`. A mark further to the right is a more permissive threshold.
#
# Both runs score the same images. Their metrics are therefore subtracted resample by resample, and
# what makes an image hard for both cancels:

# %% tags=["remove-input"]
source_of(table_figures.run_differences)

# %% tags=["nbval-ignore-output"]
differences = tables.keep("differences", table_figures.run_differences(scored))
shown = differences[["constrained", "open"]].map("{:.3f}".format)
shown["difference"] = interval_cells(differences, "difference", "+.3f")
shown.rename(index=table_figures.METRICS).rename_axis(None)


# %% tags=["remove-cell", "nbval-ignore-output"]
def verdict(row):
    return "higher" if row["low"] > 0 else "lower" if row["high"] < 0 else "not shown to differ"


def with_net(counted):
    table = counted.assign(net=interval_cells(counted, "net", "+.2f"))
    return table.drop(columns=["low", "high"]).style.hide()


counted = tables.keep("sides", count_flips(scored))
platforms = tables.keep("sides_by_platform", count_flips(scored, ["platform"]))
generators = tables.keep("sides_by_generator", count_flips(scored, ["generator"]))
clear = platforms[(platforms["low"] > 0) | (platforms["high"] < 0)]
known = set(training["constrained"]["generator"].dropna()) | {"none"}
alpha = [record.block_weights for record in records.values()]
paper_gain = {
    name: getattr(paper.table_1("local", "open"), name)
    - getattr(paper.table_1("local", "constrained"), name)
    for name in ("roc_auc", "f1", "recall")
}
glue_texts(
    **{
        name: with_interval(row, "difference", "+.3f") or "not defined"
        for name, row in differences.iterrows()
    },
    **{f"{name}_verdict": verdict(row) for name, row in differences.iterrows()},
    **{f"paper_{name}": f"{gain:+.3f}" for name, gain in paper_gain.items()},
    **{f"epoch_{name}": str(record.best_epoch) for name, record in records.items()},
    **{f"threshold_{name}": f"{record.threshold:.3g}" for name, record in records.items()},
    **{f"training_{name}": f"{len(images):,}" for name, images in training.items()},
    **{
        f"{name}_{row['class']}": f"{row[name]:,}"
        for name in ("images", "corrected", "regressed")
        for _, row in counted.iterrows()
    },
    **{f"net_{row['class']}": with_interval(row, "net", "+.3f") for _, row in counted.iterrows()},
    profile=experiment.profile.name,
    images=f"{counted['images'].sum():,}",
    corrected=f"{counted['corrected'].sum():,}",
    regressed=f"{counted['regressed'].sum():,}",
    new_generators=str(len(set(added["generator"]) - known)),
    alpha_difference=f"{max(abs(one - other) for one, other in zip(*alpha, strict=True)):.3f}",
    groups=str(len(platforms)),
    clear=", ".join(clear["class"] + " (" + clear["platform"] + ")") or "no group",
)

# %% [markdown]
# A difference whose interval contains 0 may be chance. If recall and FPR move together and ROC AUC
# does not, the threshold has moved and the scores separate no better; [Analysis](06_analysis) divides
# the difference in recall into these two. In the paper's local numbers ROC AUC gains
# {glue:text}`paper_roc_auc`, F1 {glue:text}`paper_f1` and recall {glue:text}`paper_recall`.
#
# ## Which predictions flip
#
# Each run decides at its own threshold. A prediction is *corrected* if the constrained run is wrong
# and the open run right, *regressed* if the other way round; *net* is the share corrected less the
# share regressed. Of {glue:text}`images_real` photographs {glue:text}`corrected_real` are corrected
# and {glue:text}`regressed_real` regress (net {glue:text}`net_real`), of
# {glue:text}`images_synthetic` synthetic images {glue:text}`corrected_synthetic` and
# {glue:text}`regressed_synthetic` (net {glue:text}`net_synthetic`).

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Shares of predictions corrected and regressed by platform, a panel for each class, with the net share and its interval."}}
errors.prediction_flips(platforms)

# %% [markdown]
# Images of *none* were never shared. If the added images teach the traces of platforms, the marks
# of shared images lie further to the right. The interval excludes 0 for {glue:text}`clear`. It is not
# corrected for the number of groups, {glue:text}`groups`.


# %% tags=["nbval-ignore-output", "remove-input", "hide-output"] mystnb={"code_prompt_show": "Show the table of platforms"}
with_net(platforms)

# %% tags=["nbval-ignore-output", "remove-input", "hide-output"] mystnb={"code_prompt_show": "Show the table of generators"}
with_net(generators)

# %% [markdown]
# The flips with the largest change of margin, which is the distance of the logit from the run's
# threshold. Nothing was chosen by hand.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Photographs and synthetic images whose predictions flip, corrected ones above regressed ones, with class, platform, generator and change of margin."}}
style.as_jpeg(sheets.flips_gallery(experiment.manifest, flips(scored)))

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - The runs differ in training images alone, but in generators and platforms at once.
# - On the same images differences are paired. Those in ROC AUC and F1 are {glue:text}`roc_auc` and
#   {glue:text}`f1`.
# - A run may be better on the whole and still regress on some images.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Compute the differences in recall and in FPR from the flips alone.
# ```{dropdown} Answer
# A flip of a synthetic image changes recall, a flip of a photograph changes FPR. Recall differs by
# the net share of synthetic images, ({glue:text}`corrected_synthetic` -
# {glue:text}`regressed_synthetic`) / {glue:text}`images_synthetic`, or
# {glue:text}`net_synthetic`. FPR differs by the net share of photographs with its sign reversed,
# ({glue:text}`regressed_real` - {glue:text}`corrected_real`) / {glue:text}`images_real`, or
# {glue:text}`fpr`.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare(runs.runs["open"])
compared

# %% tags=["remove-cell"]
print(compared.verdict)
