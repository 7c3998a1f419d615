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
# # Is it reproduced?
#
# One page to judge this reproduction by, in the order that reproducibility tracks ask for.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.experiments.record import published_studies
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.figures import answers, effects
from layerfusion.pages.figures.report import records_table
from layerfusion.paths import reference_folder

tables = ChapterTables("15_report", checked_parameters(globals()))
demo, photographs = (published_studies(reference_folder(name)) for name in ("demo", "photographs"))
display(Markdown(answers.verdicts_in_a_sentence(photographs["claims"])))

# %% [markdown]
# ## Scope
#
# The paper claims that a small head on the class tokens of *all* blocks of a CLIP encoder tells
# generated images from photographs, that social training images help, mostly through recall, that
# official images are harder than local ones, that compression and laundering cost little, that
# small images are the hardest, and that thresholds come out very small. What was tested: all of it,
# and whether the layers are what does it, of which the paper has no ablation.
#
# What was not: the paper's own encoder and data. Nobody has compared the profile `paper` with the
# paper's numbers yet; [On photographs](10_photographs) has CLIP ViT-B/16 and other images, and
# [the demo world](07_demo_world) an encoder and images of its own. An effect that is not found
# there may be in the paper's setting all the same.
#
# ## Method
#
# The paper's text, and facts about the author's public code where the paper is silent, written anew
# ([deviations](deviations)). Logits, evaluation pixels and laundered images of this code equal the
# author's to the last bit on the same weights. On photographs: ten seeds; intervals over sources
# and seeds; verdicts against 0 and against the paper's effect; official images of sources that lie
# nowhere else, sealed and opened once.
#
# ## Results

# %%
display(Markdown(effects.claims_in_a_sentence(photographs["claims"])))
display(Markdown(answers.detector_in_a_sentence(photographs["detectors"])))

# %% [markdown]
# ## What was easy
#
# The head: one equation, a classifier of two layers, a rate for each part. The paper's tables agree
# with each other, and the official confusion matrices follow from them
# ([Official results](04_official_results)). The encoder's weights are public.
#
# ## What was difficult
#
# The data: a quarter of a million images of four publishers, whose selection the paper does not
# give, and validation and test images that only registered teams get. The activation: the paper's
# library computes GELU for weights that were trained with QuickGELU
# ([The method](01_method)). Telling a small effect from chance: images of one source are alike, so
# that fifty sources are worth far less than two thousand images.
#
# ## Contact with the author
#
# None so far.
#
# ## From claim to number
#
# What to type, what comes out, and what it took. On a machine of the same kind the number is the
# same to its last digit. On another, the demo's runs move by what
# [the demo world](07_demo_world) measured; how far those on photographs move was not measured.

# %%
recorded = records_table([*demo.values(), *photographs.values()])
tables.keep("records", recorded, fixed=True)

# %% [markdown]
# ## Changed after a result was seen
#
# - **The unit of uncertainty.** Verdicts on photographs were first made from intervals over images
#   and three seeds. That these say too little was seen from the verdicts; they were replaced by
#   intervals over sources and ten seeds, and verdicts against the paper's effect were added. The
#   official images were opened after that.
# - **The family of claims** grew from 24 to 43: average precision, accuracy, precision, recall and
#   false positives, thresholds, and heads on official images. Before the official labels were read.
# - **Validation images**: 788 of other sources were added, and sources of one origin made one.
# - **RINE** was recorded with an area under the curve of .712 and .569 (constrained, open), then
#   with another variant of its settings at .918 and .919, both on these validation images. It is
#   not yet trained as published: its cross-entropy is a mean here and a sum there.
# - **The unsure band** and the promised error rates of
#   [Choosing a threshold](11_thresholds) were settled after a look at these predictions.
# - **The rule of the shipped threshold** was chosen knowing, from whoever asked for it, that rates
#   on other sources come out higher than on validation images; not on official labels. The plan's
#   first draft had another one, and the mean of two heads as a candidate; both were changed before
#   any score of the new heads was there. Before the plan was sealed, false-positive rate and recall
#   on validation images were looked at for targets of 5, 10, 15 and 20 %; 10 % was kept. The sealed
#   plan does not say so.
# - **The learning rate of block weights that move** was set beforehand and not tuned. The sealed
#   plan says that alpha leaves 1/12 at it: that was expected then, and first seen in the study.
# - **The radial spectrum** was to stand beside every headline; it scored no official image.
# - **After the opening** a tie in the choice of thresholds on resamples was mended, which moved the
#   intervals of the two claims on small thresholds by less than .001, and the rates of 0 and 1 got
#   an interval that is not a point.
# - **The demo world** was tuned until it was neither trivial nor hopeless, on its own validation
#   images.
#
# ## Beside the recorded execution

# %% tags=["nbval-ignore-output"]
compared = tables.compare()
compared

# %%
print(compared.verdict)
