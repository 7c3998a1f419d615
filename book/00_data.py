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
# # Data
#
# What a detector learns depends on its images before it depends on its architecture. This chapter
# names the data sets of the task and of the paper, shows the images that the runs of this book
# were made on, and asks what a detector could learn from them without looking at what they show.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.data.metadata import metadata_by_class
from layerfusion.pages.figures import data as data_figures
from layerfusion.pages.figures import sheets, style

experiment = open_chapter("open", globals())
manifest = experiment.manifest
tables = ChapterTables("00_data", experiment)

# %% [markdown]
# ## What the task allows
#
# The task {cite:p}`karageorgiou2026synthetic` asks for at least two runs. A *constrained* run
# trains on two given sets alone: that of Wang et al. {cite:p}`wang2020cnn`, made by GANs, and that
# of Corvi et al. {cite:p}`corvi2023detection`, made by latent diffusion. An *open* run may train on
# anything, if it says on what. Both are judged on images as social media show them.
#
# Corvi's set names its real images, of COCO and LSUN, but does not contain them. The paper
# {cite:p}`lean2026layerwise` takes its photographs from COCO train2017 {cite:p}`lin2014microsoft`.
# Its open run adds the shared part of TrueFake {cite:p}`dellanna2025truefake`.
#
# The table repeats what their publishers and others say of these sets: nothing in it was measured.
# The small number after each fact leads to who says it.

# %% tags=["nbval-ignore-output"]
data_figures.styled_data_sets(tables.keep("data_sets", data_figures.public_data_sets(), fixed=True))

# %% [markdown]
# ## The images at hand
#
# All that follows is about the images of one profile:

# %%
display(Markdown(experiment.profile.about))
if experiment.profile.notice:
    display(Markdown(f"**{experiment.profile.notice}.**"))

# %% [markdown]
# Their numbers, beside the paper's. Rows *of the paper* repeat its section 3; rows of a profile
# were counted here, and say nothing of the paper's images unless the profile is `paper`. The task
# does not publish how many of the 10,000 official images are synthetic; the division into halves
# follows from the paper's counts of errors.

# %%
tables.keep("counts", data_figures.mirrored_counts(experiment))

# %% [markdown]
# ## Samples
#
# A row for each split, source and class; in it, images drawn at random with a fixed seed. Nothing
# was chosen by hand. Of each image the sheet shows the central square, scaled to one size, so that
# it tells nothing of sizes and proportions. These come further down.

# %% tags=["nbval-ignore-output"]
style.as_jpeg(sheets.sample_sheet(manifest, seed=experiment.seed))

# %% [markdown]
# ## What files give away
#
# In the paper's constrained training images the class can be read off the file: all photographs
# are JPEG files of many sizes, all synthetic images are PNG files of one size. A detector that
# finds the 8 x 8 blocks of JPEG in the pixels, or the traces of scaling, has a perfect rule for
# these images, and has not learnt what a generator leaves behind. Grommelt et al.
# {cite:p}`grommelt2025fake` showed that detectors do learn from such differences: without them, the
# same detectors were more robust to JPEG compression and better on generators that they had not
# been trained on. Cropping hides the size of an image, and recompression at random, which the
# paper's training includes, blurs the difference in format. Neither removes it.
#
# For the images at hand: the share of each format, medians of width, height, shorter side (px) and
# of the file's bytes per pixel, and the size that is commonest in each class. Two rows of one
# split should be alike.

# %% tags=["nbval-ignore-output"]
tables.keep("giveaways", metadata_by_class(manifest.rows)).round(4)

# %% [markdown]
# Medians can agree where distributions do not. The curves give the share of images at or below each
# value. Where those of the two classes lie apart, the value tells something of the class.

# %% tags=["nbval-ignore-output"]
data_figures.file_giveaways(manifest)

# %% [markdown]
# Width against height; the larger a mark, the more images of its class have that very size. Images
# that come straight from a generator are often of one size, and would be one large mark. The grey
# line is where squares lie.

# %% tags=["nbval-ignore-output"]
data_figures.image_sizes(manifest)

# %% [markdown]
# ## The short cuts, measured
#
# How far would a detector get on this alone? The audit trains boosted trees on what the manifest
# says of each file: on all of it together, and on each value by itself. One more detector sees the
# radial spectrum of the crop: how much detail of each fineness there is, and not where. It is no
# short cut of the file, but the least that pixels tell. All learn from a run's training images and
# are scored on the validation images that judge the runs themselves.
#
# A short cut at 0.5 cannot be used there. One above it may explain that much of what a run
# achieves. One below it holds in the training images and points the other way in the validation
# images: a detector that learnt it would pay for it. The audit runs twice, for the constrained and
# for the open run, where their training images are at hand.

# %% tags=["nbval-ignore-output"]
audit = tables.keep("shortcuts", data_figures.audit_runs(experiment))
data_figures.shortcut_audit(audit)

# %% tags=["nbval-ignore-output"]
audit.drop(columns="features").round(4)

# %% [markdown]
# ## Files left out, duplicates, warnings
#
# Files that cannot be read are in no split and in no count above.

# %%
print(f"{len(manifest.skipped)} files could not be read")
if len(manifest.skipped):
    display(manifest.skipped)

# %% [markdown]
# An image that lies in two splits would be tested on what was learnt by heart. *Exact* pairs are
# equal byte for byte, *near* ones look alike to a perceptual hash. A pair of one real and one
# synthetic image is worse than a duplicate: one of its labels may be wrong.

# %%
duplicates = experiment.duplicates()
print(f"{len(duplicates)} pairs of equal or nearly equal images across splits")
counted = tables.keep("duplicates", data_figures.duplicate_counts(duplicates))
if len(duplicates):
    display(counted, duplicates.head(10))

# %% [markdown]
# The manifest's own warnings, of large differences between the classes and of what else should be
# known before a number of this profile is believed:

# %%
for warning in experiment.warnings():
    print("note:", warning)
print(f"{len(experiment.warnings())} warnings")

# %% [markdown]
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
