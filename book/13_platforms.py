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
# # On platforms
#
# The paper measures one JPEG quality and one resize-and-crop, and leaves real platforms to future
# work. Here the detector that comes with this package scores the same
# photographs and generated images under compression by three formats, smaller copies, crops, blur,
# noise and screens, through the platforms that TrueFake names, and through two of these after each
# other. Each image is decoded once and scored under every condition; the threshold stays the one
# that was chosen on clean validation images.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.analysis.corruptions import corruption_table
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.experiments import corruptions
from layerfusion.experiments.record import published_study
from layerfusion.pages.figures import corruptions as corruption_figures
from layerfusion.paths import reference_folder

tables = ChapterTables("13_platforms", checked_parameters(globals()))
study = published_study(reference_folder("photographs"), "corruptions")
measured = corruption_table({on: own["detector"] for on, own in study.scored.items()})
tables.keep("conditions", measured, fixed=True)
display(Markdown(corruption_figures.in_a_sentence(measured)))

# %%
display(Markdown(corruption_figures.what_was_measured(study)))

# %% [markdown]
# Training has met some of this: JPEG of quality 50 to 100, smaller copies that are enlarged again,
# and images that went through simulated platforms. WebP, AVIF, blur and noise it has not. Many
# validation images are JPEGs that were written at a quality of 85 or below, so that `jpeg-85` and
# above hardly change them: that is no test for an image which is at 83 already. On sources that
# neither chose the threshold nor trained the head more goes wrong to begin with
# ([On photographs](10_photographs)).

# %%
tables.keep("by_training", corruption_figures.by_training(measured), fixed=True).round(3)

# %% [markdown]
# ## How much of each
#
# Differences are paired: the same images, degraded and not, so that their intervals are narrower
# than those of two ROC AUCs side by side.

# %%
corruption_figures.draw_corruptions(measured, corruptions.CURVES)

# %% [markdown]
# Where recall and false alarms fall together, images look more like photographs to the detector,
# and the order of both classes may not have changed at all; where they rise together, more like
# generated ones. Only a threshold that was chosen under the same condition would help.

# %%
strongest = {
    f"{kind}-{strengths[-1]}": corruption_figures.AXES[kind][0]
    for kind, strengths in corruptions.CURVES.items()
}
corruption_figures.shown(measured, strongest)

# %% [markdown]
# ## Platforms, and two things after each other
#
# What a platform does to an upload changes without notice. Longest sides of Facebook and X are what
# {cite:t}`harmon2021` measured with uploads; Telegram's 1,280 px and all qualities are assumptions.
# No image here is longer than any of these bounds, so that none of them acts: the three rows are
# what JPEG of an assumed quality does, and no more. A JPEG that is compressed a second time, a
# smaller copy that is compressed: pictures seldom travel once.

# %%
platforms = {condition: platform for platform, condition in corruptions.PLATFORMS.items()}
corruption_figures.shown(measured, {**platforms, **{c: c for c in corruptions.CHAINS}})

# %% [markdown]
# What this is not: uploads. No picture here went through a platform, and no screen was
# photographed.
