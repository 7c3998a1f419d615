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
# the paper's data. On other images, with a smaller encoder,
# {glue:text}`10_photographs.ipynb::n_claims:s` claims give
# {glue:text}`10_photographs.ipynb::n_undecided:s` verdicts *undecided*,
# {glue:text}`10_photographs.ipynb::n_no_effect:s` *no effect of the paper's size*,
# {glue:text}`10_photographs.ipynb::n_reversed:s` *reversed* and
# {glue:text}`10_photographs.ipynb::n_holds:s` *holds*.
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
from layerfusion.experiments import record
from layerfusion.experiments.record import published_studies
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts
from layerfusion.pages.figures import formatting
from layerfusion.pages.figures.report import records_table
from layerfusion.paths import reference_folder

tables = ChapterTables("15_report", checked_parameters(globals()))
demo, photographs = (published_studies(reference_folder(name)) for name in ("demo", "photographs"))

# %% [markdown]
# ## Scope
#
# The paper's claims are that a small head on the class tokens of all blocks separates generated
# images from photographs; that social training images help, mostly through recall; that official
# images, small ones, compression and laundering lower the scores; and that thresholds come out very
# small. All of it is tested here, and whether the layers are the reason, of which the paper has no
# ablation. The encoder is CLIP ViT-B/16 [on photographs](10_photographs), and one of our own in
# [the demo world](07_demo_world).
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
# The code follows the paper's text and, where that is silent, facts about the author's public code
# ([deviations](deviations)). On photographs: {glue:text}`n_seeds` seeds, intervals over sources and
# seeds, verdicts against 0 and the paper's effect, official images sealed and opened once.
#
# ## Results
#
# The open training images change ROC AUC by {glue:text}`10_photographs.ipynb::open_local:s` on
# local images (the paper: {glue:text}`10_photographs.ipynb::open_local_paper:s`) and by
# {glue:text}`10_photographs.ipynb::open_official:s` on official ones (the paper:
# {glue:text}`10_photographs.ipynb::open_official_paper:s`). All blocks, compared with the last
# alone, change official ROC AUC by {glue:text}`10_photographs.ipynb::last_constrained:s`
# (constrained run) and {glue:text}`10_photographs.ipynb::last:s` (open run).
#
# The shipped detector has an FPR of {glue:text}`10_photographs.ipynb::fpr:s`, a recall of
# {glue:text}`10_photographs.ipynb::recall:s` and a ROC AUC of
# {glue:text}`10_photographs.ipynb::roc_auc:s` on official images; file metadata alone has a ROC AUC
# of {glue:text}`10_photographs.ipynb::metadata_roc_auc:s`.
#
# ## What was easy
#
# The head: one equation, a classifier of two layers, a learning rate for each part. The paper's
# tables are consistent: the official confusion matrices follow from them
# ([Official results](04_official_results)).
#
# ## What was difficult
#
# - **Data.** Four publishers' images, whose selection the paper does not give; validation and test
#   images go to registered teams only.
# - **Activation.** The paper's library computes GELU for weights trained with QuickGELU
#   ([The method](01_method)).
# - **Chance.** Images of one source are alike: fifty sources are worth far less than two thousand
#   images.
#
# There was no contact with the author.
#
# ## From claim to number
#
# What to type, what comes out and how long it takes. On a machine of the same kind the number is
# equal to its last digit; on another kind the demo's runs differ as
# [the demo world](07_demo_world) measured. Heads on photographs hardly differ: a logit must agree
# within {glue:text}`logit_apart` and a threshold within {glue:text}`threshold_apart`, a few times
# what two kinds of processors gave.

# %% tags=["nbval-ignore-output", "hide-input"]
recorded = records_table([*demo.values(), *photographs.values()])
tables.keep("records", recorded, fixed=True)
shown = recorded[["command", "expected", "minutes"]].rename_axis(None)
shown["minutes"] = shown["minutes"].replace(0, "< 1")
shown["expected"] = shown["expected"].replace("", "claims alone are kept")
caption = "Expected: ROC AUC of the first variant on validation images, and minutes of work."
formatting.lay_out(shown, "records", caption, formatting.SENTENCES)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show seeds, machines and commits"}
recorded[["seeds", "on", "commit", "clean"]].rename(
    columns={"on": "computed on", "clean": "nothing uncommitted"}
)

# %% tags=["remove-cell"]
glue_texts(
    n_seeds=str(len(photographs["claims"].record.seeds)),
    n_studies=str(len(recorded)),
    hours=f"{recorded['minutes'].sum() / 60:.0f}",
    logit_apart=f"{record.LOGIT_APART:g}",
    threshold_apart=f"{record.THRESHOLD_APART:g}",
    n_clean=str((recorded["clean"] == "yes").sum()),
)

# %% [markdown]
# The {glue:text}`n_studies` studies take {glue:text}`hours` hours. {glue:text}`n_clean` were computed
# from a clean commit, the others with uncommitted files beside it.
#
# ## Changed after a result was seen
#
# - **Unit of uncertainty.** First intervals over images and three seeds; these proved too narrow, and
#   intervals over sources and ten seeds took their place, with verdicts against the paper's effect.
#   The official images were opened after that.
# - **Family of claims.** From 24 to 43, before the official labels were read: average precision,
#   accuracy, precision, recall, false positives, thresholds, heads on official images.
# - **Validation images.** 788 of other sources were added; sources of one origin became one.
# - **RINE.** Recorded with a ROC AUC of .712 and .569 (constrained, open), then with another variant
#   of its settings at .918 and .919, both on these validation images. It is not yet trained as
#   published: its cross-entropy is a mean here and a sum there.
# - **Abstention.** Band and target error rates of [Choosing a threshold](11_thresholds) were settled
#   after a look at these predictions.
# - **Rule of the shipped threshold.** Chosen knowing, from whoever asked for it, that rates on other
#   sources come out higher; not on official labels. The first draft had another rule, and the mean
#   of two heads as a candidate; both changed before any score of the new heads existed. Before
#   sealing, FPR and recall on validation images were looked at for targets of 5, 10, 15 and 20 %;
#   10 % was kept. The sealed plan does not say so.
# - **Learning rate of faster alpha.** Set beforehand, not tuned. The sealed plan says that alpha
#   leaves 1/12 at it: expected then, first seen in the study.
# - **Radial spectrum.** Planned beside every headline; it scored no official image.
# - **After the opening** a tie in the choice of thresholds on resamples was corrected (intervals of
#   the two claims on thresholds moved by less than .001), and rates of 0 and 1 got an interval.
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
# Run `python tools/recompute_claims.py runs/reference/photographs`. It needs numpy, pandas and
# scipy alone, imports nothing of `layerfusion`, and computes every effect, interval and p-value
# from the committed predictions. It exits with an error if a published number differs by more than
# 1e-9.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare()
compared

# %% tags=["remove-cell"]
print(compared.verdict)
