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
# The paper closes with three readings of its results: broader training data helps most through
# recall; thresholds are very small, so outputs are no probabilities; and false positives should be
# looked at by content and source. Here is what a run says to each.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.analysis.comparison import Comparison
from layerfusion.analysis.content import content_groups
from layerfusion.analysis.slices import error_slices, held_out_errors
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.figures import errors as error_figures
from layerfusion.pages.figures import run as run_figures
from layerfusion.pages.figures import sheets, style
from layerfusion.pages.figures.tables import by_run, calibration_table
from layerfusion.metrics import operating_points
from layerfusion.metrics.groups import worst_groups
from layerfusion.metrics.transfer import choice_table, recall_table
from layerfusion.paper import audit
from layerfusion.progress import Reporter
from layerfusion.experiments.baselines.features import FrozenEncoder

experiment = open_chapter("open", globals())
tables = ChapterTables("06_analysis", experiment)

# %%
runs = Comparison.obtain(experiment, fresh=fresh)
scored = runs.scored["local"]
display(Markdown(experiment.profile.about))

# %% [markdown]
# ## More recall, at what price?
#
# A recall can rise because scores tell the classes apart better, or because the threshold lets more
# images through, photographs too. A ROC curve shows both: a better detector has a higher curve, a
# more permissive threshold a point further to the right on it. The paper's points are rebuilt from
# its tables; they have no curve, for its scores were not published.

# %% tags=["nbval-ignore-output"]
paper_points = audit.operating_points()
run_figures.roc_curves(scored, paper_points.loc["local"])

# %%
tables.keep("paper_points", paper_points, fixed=True).round(4)

# %% [markdown]
# In the paper's local numbers both runs let through nearly the same share of photographs, so nearly
# all of the gain in recall comes of better scores. On the official images the open run lets through
# more photographs as well, and part of the gain may be no more than that.
#
# For the runs of this profile the gain can be split: the open run is read where its false-positive
# rate is that of the constrained run. What it has gained there, better scores bring; the rest comes
# of its threshold.

# %% tags=["nbval-ignore-output"]
gain = tables.keep("recall_gain", operating_points.recall_gain(scored))
gain.set_index("part").round(4)

# %% [markdown]
# The paper warns that a deployment must account for the cost of false positives. F1 on a balanced
# set does not: half of its images are synthetic, and a threshold that calls a third of all
# photographs synthetic can still be the best. Recall where few false alarms are allowed:

# %% tags=["nbval-ignore-output"]
tables.keep("recall", by_run(scored, recall_table)).round(3)

# %% [markdown]
# ## What small thresholds mean
#
# A threshold far below 0.5 looks odd, but is not so by itself. If outputs were calibrated
# probabilities, the threshold that maximises F1 would be *half of that F1* {cite:p}`lipton2014f1`,
# and so never above .5. What the paper's thresholds show is their distance from that value, in the
# first two rows below: the scores of most images in the wild lie far below those of the training
# images. Their order can still be good, and ROC AUC looks at nothing else.
#
# Then each run's threshold beside half of its own F1, and again after its scores were recalibrated
# by a logistic curve, fitted on other images than it is applied to. If the theory holds, the
# recalibrated threshold is half of its F1. Brier score and expected calibration error (ECE) are 0
# at best.

# %% tags=["nbval-ignore-output"]
tables.keep("calibration", calibration_table(scored)).T

# %% tags=["nbval-ignore-output"]
run_figures.calibration(scored)

# %% [markdown]
# Each mark holds a tenth of the validation images. On the diagonal, scores mean what they say.
#
# ## How sure is the threshold?
#
# The threshold was chosen on the very images that F1 is then reported on. Choosing it again on
# resamples of them, and trying it on the images left out, says how far it hangs on chance and how
# much of F1 is flattery. (The checkpoint was chosen on them too. That part is not in here.)

# %% tags=["nbval-ignore-output"]
tables.keep("choice", choice_table(scored)).round(4)

# %% tags=["nbval-ignore-output"]
run_figures.f1_over_threshold(scored)

# %% [markdown]
# The left end of a curve is the F1 of calling every image synthetic. Where the curve is flat, the
# choice hardly matters; where it is steep beside the mark, a small shift of all scores, as another
# platform may bring, costs much.
#
# ## Which images
#
# Errors by what is known of an image: where it was shared, what made it, its size, its file. The
# bytes per pixel of a file are a coarse measure of detail and compression, in quarters of each
# class. What images show is in groups of like ones, which the frozen encoder's output was put into
# and which know neither labels nor scores.

# %% tags=["nbval-ignore-output"]
encoder = FrozenEncoder(experiment.profile, Reporter())
seen = content_groups(encoder.evaluation_features(experiment.validation).embedding)
images = seen.assign(image_id=experiment.validation.rows["path"].array)
errors = error_slices(runs, content="group " + images.set_index("image_id")["group"].astype(str))
tables.keep("slices", errors[errors["by"] != "content"])
display(Markdown(error_figures.in_a_sentence(errors)))
error_figures.slices(errors)

# %% [markdown]
# The images that are most typical of each group:

# %% tags=["nbval-ignore-output"]
names = {number: f"group {number}" for number in images["group"]}
style.as_jpeg(sheets.content_sheet(experiment.manifest.root, images, names))

# %% [markdown]
# The worst slice of each class beside all of its images, among slices of ten images or more:

# %% tags=["nbval-ignore-output"]
worst_groups(errors).round(3)

# %% [markdown]
# The surest errors of the open run, by how far their logit lies beyond the threshold's. Nothing was
# chosen by hand. Of each image the sheet shows the central square, scaled to one size.

# %% tags=["nbval-ignore-output"]
threshold = runs.runs["open"].record.threshold
predicted = scored["open"].images
gallery = sheets.error_gallery(experiment.manifest, predicted, threshold)
style.as_jpeg(gallery)

# %% [markdown]
# ## Images of no run
#
# Labelled sets that neither run trains on or is validated on, such as Synthbuster with its nine
# generators, at the thresholds chosen on validation images.

# %% tags=["nbval-ignore-output"]
held_out = tables.keep("held_out", held_out_errors(runs))
if len(held_out):
    display(held_out.round(3))
else:
    print("This profile has no such images.")

# %% [markdown]
# ## Which claims hold
#
# One training of each run, as on this page, cannot say: other seeds and other sources would have
# given other numbers. The paper's claims are judged over several of both
# [on photographs](10_photographs) and [in the demo world](07_demo_world);
# `layerfusion study claims` does the same with any profile.
#
# ## Beside the recorded execution
#
# What was just computed, held against what this repository records of the same chapter. On the
# same kind of processor every digit is the same. Elsewhere the last bits differ, training amplifies
# them, and a threshold can jump: [Reproducing](reproducing) shows how far numbers move.

# %% tags=["nbval-ignore-output"]
compared = tables.compare()
compared

# %%
print(compared.verdict)
