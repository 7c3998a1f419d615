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
# # Analysis
#
# :::{admonition} In short
# :class: in-short
# **Question.** The paper closes with three readings: broader training data helps most through
# recall, very small thresholds show that outputs are no probabilities, and false positives need a
# look at content and source. What does each of them rest on?
#
# **Answer.** A recall rises with better scores or with a lower threshold. Here the open run's differs
# from the constrained run's by {glue:text}`recall_gain`, of which {glue:text}`recall_scores` comes
# from scores. Calibrated outputs have their best threshold at half of its {term}`F1`; the paper's
# thresholds are {glue:text}`paper_times_constrained` and {glue:text}`paper_times_open` times smaller
# than that. Of {glue:text}`n_groups` groups of images, {glue:text}`n_clear` can be shown to have more
# errors than other images of their sources.
#
# **Holds for** one training of each run of the profile {glue:text}`profile`. The claims are tested
# over seeds and sources [on photographs](10_photographs).
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import display

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.content import content_groups
from layerfusion.analysis.slices import error_slices, held_out_errors
from layerfusion.experiments.baselines.features import FrozenEncoder
from layerfusion.metrics import calibration, operating_points
from layerfusion.metrics.transfer import choice_table, recall_table
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import errors as error_figures
from layerfusion.pages.figures import run as run_figures
from layerfusion.pages.figures import sheets, style
from layerfusion.pages.figures.formatting import interval_cells, pivoted, with_interval
from layerfusion.pages.figures.tables import by_run, calibration_table
from layerfusion.paper import audit
from layerfusion.paper import numbers as paper
from layerfusion.progress import Reporter

experiment = open_chapter("open", globals())
tables = ChapterTables("06_analysis", experiment)
runs = Comparison.obtain(experiment, fresh=fresh)
scored = runs.scored["local"]

# %% [markdown]
# ## More recall, at what price?
#
# A better detector has a higher ROC curve; a lower threshold is a point further right on the same one.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "ROC curves of both runs with the points of their thresholds, and the points of the paper's runs as crosses."}}
paper_points = tables.keep("paper_points", audit.operating_points(), fixed=True)
run_figures.roc_curves(scored, paper_points.loc["local"])

# %% tags=["remove-cell"]
for (on, run), point in paper_points.iterrows():
    glue_texts(
        **{
            f"paper_fpr_{on}_{run}": f"{point['false_positive_rate']:.3f}",
            f"paper_recall_{on}_{run}": f"{point['recall']:.3f}",
        }
    )

# %% [markdown]
# The paper's points (crosses) are rebuilt from its tables. On local images its recall rises from
# {glue:text}`paper_recall_local_constrained` to {glue:text}`paper_recall_local_open` at almost the
# same FPR, {glue:text}`paper_fpr_local_constrained` and {glue:text}`paper_fpr_local_open`: the scores
# are better. On official images FPR rises too, from {glue:text}`paper_fpr_official_constrained`
# to {glue:text}`paper_fpr_official_open`, with recall from
# {glue:text}`paper_recall_official_constrained` to {glue:text}`paper_recall_official_open`; a part of
# that gain may be the threshold's.
#
# With scores at hand, the open run can be read at the FPR of the constrained one:

# %% tags=["nbval-ignore-output", "hide-input"]
gain = tables.keep("recall_gain", operating_points.recall_gain(scored))
parts = ["recall", "by better scores", "by the threshold", "FPR"]
pd.DataFrame({"open minus constrained": interval_cells(gain, "estimate", "+.3f")}, parts)

# %% [markdown]
# An interval that contains 0 leaves the sign open. The paper warns of the price of false positives,
# which F1 on a balanced set does not see. Recall where few are allowed:

# %% tags=["nbval-ignore-output", "hide-input"]
recall = tables.keep("recall", by_run(scored, recall_table)).reset_index()
texts = {"FPR": recall["target_fpr"].map("at most {:.0%}".format)}
recall = recall.assign(**texts, text=interval_cells(recall, "recall"))
pivoted(recall, "FPR", "run", "text")

# %% [markdown]
# The rest of a recall in Table 1 is paid for with more false positives
# ([Choosing a threshold](11_thresholds)).
#
# ## What small thresholds mean
#
# If outputs are calibrated, the threshold with the largest F1 is *half of that F1*
# {cite:p}`lipton2014f1`:
#
# 1. Let the predicted set have $n$ images and hold $T = \sum p$ synthetic ones, of $P$ in all. Then
#    $F_1 = 2T / (n + P)$.
# 2. One more image, of probability $p$, gives $2(T + p) / (n + 1 + P)$. That is larger exactly if
#    $p\,(n + P) > T$, or $p > T / (n + P) = F_1 / 2$.
# 3. At the largest F1 no image can be added or left out with profit: the threshold is $F_1 / 2$, and
#    never above .5.
#
# A threshold below .5 is therefore no sign of poor calibration; its distance from $F_1 / 2$ is. Each
# line leads from a threshold to half of its F1:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Thresholds and half of their F1 on a logarithmic axis: the paper's, this profile's as scored, and this profile's after recalibration."}}
halves = tables.keep("calibration", calibration_table(scored))
run_figures.draw_thresholds(halves)

# %% tags=["nbval-ignore-output", "hide-output"] mystnb={"code_prompt_show": "Show the table of thresholds and calibration errors"}
named = halves.rename(columns={"paper": "the paper's threshold"})
named.T.map("{:.4g}".format)

# %% tags=["remove-cell"]
glue_texts(profile=experiment.profile.name)
for run, row in halves.iterrows():
    times = {"paper": row["half of the paper's F1"] / row["paper"]}
    times["own"] = row["half of F1"] / row["threshold"]
    glue_texts(
        **{f"{own}_times_{run}": f"{n:,.{int(n < 10)}f}" for own, n in times.items()},
        **{f"paper_threshold_{run}": f"{paper.THRESHOLDS[run]:.2g}"},
        **{f"own_threshold_{run}": f"{row['threshold']:.2g}"},
        **{f"ece_{run}": f"{row['ECE']:.3f}", f"ece_after_{run}": f"{row['ECE recalibrated']:.3f}"},
    )

# %% [markdown]
# The paper's thresholds, {glue:text}`paper_threshold_constrained` and
# {glue:text}`paper_threshold_open`, lie far below: its outputs are no probabilities on these images.
# Their order can still be good, and ROC AUC looks at nothing else. Here half of the F1 is {glue:text}`own_times_constrained` and {glue:text}`own_times_open` times the threshold.
# The last rows test the theory on scores that a logistic curve has recalibrated, fitted on other
# images than it is applied to:

# %% tags=["remove-input"]
source_of(calibration.recalibrated)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Share of synthetic images over mean score for both runs, as scored and recalibrated, with the diagonal."}}
run_figures.calibration(scored)

# %% [markdown]
# Each mark holds a tenth of the images; on the diagonal scores mean what they say. Recalibration
# takes the mean distance from it (ECE) from {glue:text}`ece_constrained` and {glue:text}`ece_open` to
# {glue:text}`ece_after_constrained` and {glue:text}`ece_after_open`.
#
# ## How certain is the threshold?
#
# The threshold was chosen on the images that F1 is then reported on. Choosing it again on resamples,
# and applying it to the images left out, shows how far both depend on chance.

# %% tags=["nbval-ignore-output", "hide-input"]
choice = tables.keep("choice", choice_table(scored))
choice[["F1", "optimism"]].round(3).assign(threshold=interval_cells(choice, "threshold", ".3g"))

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "F1 of both runs over the threshold's logit, the chosen thresholds marked, with the F1 of predicting every image synthetic."}}
run_figures.f1_over_threshold(scored)

# %% [markdown]
# *Optimism* is what F1 loses on images left out; the choice of the checkpoint is not in it. Where the
# curve falls steeply beside the mark, a small shift of all scores costs much. A mark near the grey
# line beats predicting every image synthetic by little.
#
# ## False positives by content and source
#
# The share of photographs that are predicted synthetic, by what is known of them. Content groups
# hold like images by the frozen encoder's output, which knows neither labels nor scores.

# %% tags=["hide-input"]
encoder = FrozenEncoder(experiment.profile, Reporter())
seen = content_groups(encoder.evaluation_features(experiment.validation).embedding)
images = seen.assign(image_id=experiment.validation.rows["path"].array)
errors = error_slices(runs, content="group " + images.set_index("image_id")["group"].astype(str))

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Share of false positives of both runs in groups of photographs by platform, source, format, size, bytes per pixel and content."}}
kept = tables.keep("slices", errors[errors["by"] != "content"])
error_figures.slices(errors[errors["class"] == "real"])

# %% tags=["remove-cell"]
clear = error_figures.clear_groups(errors)
named = [
    f"{row['by']} {row['value']} ({row['share']:.0%} {error_figures.ERRORS[row['class']]} in the "
    f"{row['run']} run, {row['expected']:.0%} in all of its sources)"
    for row in clear.to_dict("records")
]
glue_texts(
    n_groups=str(len(errors[errors["by"] != error_figures.EVERY])),
    n_clear=str(len(clear) or "none"),
    clear_groups="; ".join(named) or "none",
    **{
        f"recall_{part}": with_interval(row, "estimate", "+.3f")
        for part, row in zip(("gain", "scores"), gain.to_dict("records"), strict=False)
    },
)

# %% [markdown]
# Small groups scatter. Corrected for the number of groups, these have more errors than other images
# of their sources: {glue:text}`clear_groups`. What the content groups show, by their most typical
# images:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Sheet of images: a row of the most typical images of each content group."}}
names = {number: f"group {number}" for number in images["group"]}
style.as_jpeg(sheets.content_sheet(experiment.manifest.root, images, names))

# %% [markdown]
# False negatives by the same properties, and by generator:

# %% tags=["nbval-ignore-output", "hide-output"] mystnb={"code_prompt_show": "Show false negatives by group", "image": {"alt": "Share of false negatives of both runs in groups of synthetic images by platform, generator, source, format, size, bytes per pixel and content."}}
error_figures.slices(errors[errors["class"] == "synthetic"])

# %% [markdown]
# The most confident errors of the open run, by the distance of their logit from the threshold's, not
# chosen by hand:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Sheet of images: photographs with the highest logits and synthetic images with the lowest logits among the errors of the open run."}}
threshold = runs.runs["open"].record.threshold
predicted = scored["open"].images
style.as_jpeg(sheets.error_gallery(experiment.manifest, predicted, threshold))

# %% [markdown]
# ## Images of no run
#
# Labelled sets that neither run trains on or is validated on, at the thresholds chosen on validation
# images:

# %% tags=["nbval-ignore-output", "hide-input"] mystnb={"image": {"alt": "Share of errors of both runs on images of sets that neither run trains on, by class and generator."}}
held_out = tables.keep("held_out", held_out_errors(runs))
if len(held_out):
    value = held_out["generator"].replace("", "photographs")
    display(error_figures.slices(held_out.assign(by=held_out["source"], value=value)))
else:
    print("This profile has no such images.")

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - Recall without FPR says nothing: read a run at the FPR of the other.
# - For calibrated outputs the best F1 threshold is half of its F1. A threshold far below shows that
#   outputs are no probabilities; the order of the images may still be good.
# - Look for groups with more errors, and correct for the number of groups that were looked at.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Outputs are calibrated and useless: every image scores .5, and half of all images are synthetic.
# Which threshold has the largest F1, and does the rule hold?
# ```{dropdown} Answer
# Any threshold up to .5 predicts all images synthetic: recall 1, precision .5, F1 .667. Half of it
# is .333; all images score above that and are predicted synthetic. The rule holds, and it is the
# reason why an F1 of .667 is no achievement.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare()
compared

# %% tags=["remove-cell"]
print(compared.verdict)
