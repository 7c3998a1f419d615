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
# :::{admonition} In short
# :class: in-short
# **Question.** Is the paper reproduced, and what would it take to check that?
#
# **Answer.** The method is: logits, evaluation pixels and laundered images equal those of the
# author's code to the last bit on the same weights. The results are not, and could not be tried on
# the paper's data. On other images, with a smaller encoder, {glue:text}`10_photographs.ipynb::n_claims`
# claims give {glue:text}`10_photographs.ipynb::n_undecided` verdicts *undecided*,
# {glue:text}`10_photographs.ipynb::n_no_effect` *no effect of the paper's size*,
# {glue:text}`10_photographs.ipynb::n_reversed` *reversed* and
# {glue:text}`10_photographs.ipynb::n_holds` *holds*.
#
# **Holds for** everything that is recorded in this repository. Nobody has compared the profile
# `paper` with the paper's numbers yet.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
from layerfusion.experiments.record import published_studies
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts
from layerfusion.pages.figures.formatting import SENTENCES, lay_out
from layerfusion.pages.figures.report import records_table
from layerfusion.paths import reference_folder

tables = ChapterTables("15_report", checked_parameters(globals()))
demo, photographs = (published_studies(reference_folder(name)) for name in ("demo", "photographs"))

# %% [markdown]
# ## Scope
#
# The paper claims that a small head on the class tokens of all blocks of a CLIP encoder separates
# generated images from photographs; that social training images help, mostly through recall; that
# official images are harder than local ones; that compression and laundering lower the scores; that
# small images are the hardest; and that thresholds come out very small. All of it is tested here,
# and also whether the layers are the reason, of which the paper has no ablation.
#
# The paper's encoder and data are not tested. [On photographs](10_photographs) has CLIP ViT-B/16
# and other images; [the demo world](07_demo_world) has an encoder and images of its own. An effect
# that is not found there may be in the paper's setting all the same.
#
# | Display item of the paper | Side by side in |
# |---|---|
# | Figure 1 | [The method](01_method) |
# | Counts of images, section 3 | [Data](00_data) |
# | Table 1, counts of errors | [Official results](04_official_results) |
# | Table 2 | [Robustness](05_robustness) |
# | Thresholds, section 5 | [Analysis](06_analysis) |
#
# ## Method
#
# The code is written from the paper's text and, where the paper is silent, from facts about the
# author's public code ([deviations](deviations)). On photographs there are
# {glue:text}`n_seeds` seeds, intervals over sources and seeds, verdicts against 0 and against the
# paper's effect, and official images of sources that occur nowhere else, sealed and opened once.
#
# ## Results
#
# The open training images change ROC AUC by {glue:text}`10_photographs.ipynb::open_local` on local
# images (the paper: {glue:text}`10_photographs.ipynb::open_local_paper`) and by
# {glue:text}`10_photographs.ipynb::open_official` on official ones (the paper:
# {glue:text}`10_photographs.ipynb::open_official_paper`). All blocks, compared with the last alone,
# change official ROC AUC by {glue:text}`10_photographs.ipynb::last_constrained` (constrained run) and
# {glue:text}`10_photographs.ipynb::last` (open run).
#
# The shipped detector has an FPR of {glue:text}`10_photographs.ipynb::fpr`, a recall of
# {glue:text}`10_photographs.ipynb::recall` and a ROC AUC of
# {glue:text}`10_photographs.ipynb::roc_auc` on official images; file metadata alone has a ROC AUC of
# {glue:text}`10_photographs.ipynb::metadata_roc_auc`.
#
# ## What was easy
#
# The head: one equation, a classifier of two layers, a learning rate for each part. The paper's
# tables agree with each other, and the official confusion matrices follow from them
# ([Official results](04_official_results)). The encoder's weights are public.
#
# ## What was difficult
#
# - **Data.** A quarter of a million images of four publishers, whose selection the paper does not
#   give; validation and test images go to registered teams only.
# - **Activation.** The paper's library computes GELU for weights that were trained with QuickGELU
#   ([The method](01_method)).
# - **Chance.** Images of one source are alike, so fifty sources are worth far less than two thousand
#   images.
#
# There was no contact with the author.
#
# ## From claim to number
#
# For each study: what to type, what comes out (ROC AUC of its first variant on validation images),
# and the minutes of work here. On a machine of the same kind the number is equal to its last digit.
# On another kind the demo's runs move by what [the demo world](07_demo_world) measured; for
# photographs that was not measured.

# %% tags=["hide-input"]
recorded = records_table([*demo.values(), *photographs.values()])
tables.keep("records", recorded, fixed=True)
shown = recorded[["command", "expected", "minutes"]].rename_axis(None)
lay_out(shown, "records", "ROC AUC with its interval over sources and seeds.", SENTENCES)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show seeds, machines and commits"}
recorded[["seeds", "on", "commit", "clean"]].rename(
    columns={"on": "computed on", "clean": "nothing uncommitted"}
)

# %% tags=["remove-cell"]
glue_texts(
    n_seeds=str(len(photographs["claims"].record.seeds)),
    n_studies=str(len(recorded)),
    hours=f"{recorded['minutes'].sum() / 60:.0f}",
    n_clean=str((recorded["clean"] == "yes").sum()),
)

# %% [markdown]
# All {glue:text}`n_studies` studies take {glue:text}`hours` hours of work. {glue:text}`n_clean` of
# them were computed from a commit with nothing beside it; the others had uncommitted files.
#
# ## Changed after a result was seen
#
# - **Unit of uncertainty.** Verdicts on photographs were first made from intervals over images and
#   three seeds. These proved too narrow and were replaced by intervals over sources and ten seeds;
#   verdicts against the paper's effect were added. The official images were opened after that.
# - **Family of claims.** It grew from 24 to 43 before the official labels were read: average
#   precision, accuracy, precision, recall, false positives, thresholds, and heads on official images.
# - **Validation images.** 788 of other sources were added, and sources of one origin made one.
# - **RINE** was recorded with a ROC AUC of .712 and .569 (constrained, open), then with another
#   variant of its settings at .918 and .919, both on these validation images. It is not yet trained
#   as published: its cross-entropy is a mean here and a sum there.
# - **Abstention.** The band and the target error rates of [Choosing a threshold](11_thresholds) were
#   settled after a look at these predictions.
# - **Rule of the shipped threshold.** It was chosen knowing, from whoever asked for it, that rates on
#   other sources come out higher than on validation images; not on official labels. The plan's
#   first draft had another rule, and the mean of two heads as a candidate; both changed before any
#   score of the new heads existed. Before sealing, FPR and recall on validation images were looked
#   at for targets of 5, 10, 15 and 20 %; 10 % was kept. The sealed plan does not say so.
# - **Learning rate of faster alpha.** Set beforehand and not tuned. The sealed plan says that alpha
#   leaves 1/12 at it: that was expected then, and first seen in the study.
# - **Radial spectrum.** It was to stand beside every headline; it scored no official image.
# - **After the opening** a tie in the choice of thresholds on resamples was mended, which moved the
#   intervals of the two claims on small thresholds by less than .001, and rates of 0 and 1 got an
#   interval that is not a point.
# - **The demo world** was tuned on its own validation images until it was neither trivial nor
#   hopeless.
#
# :::{admonition} What to remember
# :class: remember
# - The method is reproduced to the bit; the paper's numbers are untested for lack of its data.
# - On other images no claim of the paper is shown, and none of the official effects is excluded.
# - Each number has a command, and each change after a result is listed.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# You have neither the images nor CLIP's weights. How can you check the verdicts on photographs
# without trusting this package?
# ```{dropdown} Answer
# Run `python tools/recompute_claims.py runs/reference/photographs`. It needs numpy, pandas and scipy
# alone, imports nothing of `layerfusion`, and computes every effect, interval and p-value from the
# committed predictions. It exits with an error if a published number differs by more than 1e-9.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare()
compared

# %% tags=["remove-cell"]
print(compared.verdict)
