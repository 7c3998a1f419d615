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
# # The method
#
# This page takes the detector of {cite:t}`lean2026layerwise` apart: its equations, its sizes, a
# trap in its activation, and what happens to a training image. Nothing is trained here. Where the
# paper is silent, what is said here was read from its author's public code.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from pathlib import Path

import numpy as np
from IPython.display import Markdown, display

from layerfusion.analysis import architecture
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.figures import method as method_figures
from layerfusion.pages.figures import style
from layerfusion.images.reading import read_image
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.model.detector import Detector
from layerfusion.settings import load_profile

experiment = open_chapter("open", globals())
tables = ChapterTables("01_method", experiment)
profile = experiment.profile
display(Markdown(profile.about))

# %% [markdown]
# ## The equations
#
# A vision transformer of $L$ blocks, pretrained as the image half of CLIP {cite:p}`radford2021clip`
# and read through OpenCLIP {cite:p}`ilharco2021openclip`, turns an image $x$ into a row of tokens:
# one a patch, and a class token. Let $h_l(x)$ be the class token as it leaves block $l$, on the
# residual stream and before any last norm. One linear map, the same for all blocks, projects it.
# The blocks are then weighed and added:
#
# $$z(x) = \sum_{l=1}^{L} \alpha_l \, (W_p h_l(x) + b_p), \qquad
#   \alpha_l = \frac{e^{a_l}}{\sum_{k=1}^{L} e^{a_k}}.$$
#
# The block logits $a_l$ start at 0, so every block begins with the weight $1/L$. That intermediate
# blocks may keep traces which the last one has lost is the idea of
# {cite:t}`koutlis2024leveraging`. A small classifier $f$ makes a logit of the sum: LayerNorm,
# Dropout, Linear, GELU, Dropout, Linear. The detector's output is its sigmoid,
#
# $$p(x) = \sigma(f(z(x))),$$
#
# and training minimises the binary cross-entropy, the mean over a batch of
#
# $$-\,y \log p(x) - (1 - y) \log(1 - p(x)),$$
#
# where $y$ is 1 for a synthetic image and 0 for a real one. An image is called synthetic where
# $p(x) \geq t$. The threshold $t$ is the one that maximises F1 on the validation images; it is
# usually far from 0.5. The head is trained and with it the last blocks of the encoder; the rest of
# the encoder stays as it was.

# %%
detector = Detector.build(profile.encoder, profile.head, profile.images, seed=seed).eval()
encoder, name = detector.encoder, Path(profile.encoder.model).stem
print(f"encoder {name}, {detector.activation}")
print(f"{encoder.depth} blocks, of which the last {encoder.trained_blocks} are trained")

# %% [markdown]
# ## The figure
#
# The paper's Figure 1, drawn from the detector that has just been built. The image is a photograph
# of the training data, cropped as for evaluation.

# %%
training = experiment.training
photographs = training.rows[training.rows["label"] == 0]
richest = photographs.sort_values(["bytes", "path"])["path"].iloc[-1]  # detail shows what is lost
photograph = read_image(training.root / richest)
crop = np.moveaxis(EvaluationTransform(profile.images)(photograph).numpy(), 0, -1)

# %% tags=["nbval-ignore-output"]
method_figures.overview(detector, crop)
# %% [markdown]
# ## Every stage and its size
#
# One image goes through the detector, and each stage is asked what it gave. A block returns all
# tokens; only the class token of each is read, and these make `class tokens h`. The encoder's own
# last norm and its output projection are missing here, for the head does not read them.

# %%
tables.keep("shapes", architecture.stages(detector), fixed=True)

# %% [markdown]
# ## Parameters
#
# The frozen part includes the last norm and the output projection, which are not read.

# %%
for part, count in detector.parameter_counts().items():
    print(f"{part:<16}{count:>12,}")

# %% [markdown]
# The head of the paper's model needs no weights to be counted, so it can stand beside this one at
# full size. Nearly all of it is the projection and the first layer of the classifier. The fusion
# itself, the part that gives the method its name, is one number a block.

# %%
full = load_profile("paper")
heads = {
    f"{profile.name}: {name}": detector.head,
    f"full size: {full.encoder.model}": architecture.head_of(full.encoder, full.head),
}
tables.keep("head", architecture.head_parameters(heads), fixed=True)

# %% [markdown]
# ## The activation trap
#
# OpenAI's CLIP was trained with QuickGELU, $x\,\sigma(1.702\,x)$. That is an approximation of GELU,
# $x\,\Phi(x)$ with the normal distribution function $\Phi$; both are from
# {cite:t}`hendrycks2016gelu`. The two curves look alike:

# %% tags=["nbval-ignore-output"]
method_figures.activations(architecture.activation_curves())
# %% [markdown]
# The difference is small, but it enters in every block and is handed on to the next. Below, the
# encoder is built twice with the same pretrained weights, and validation images pass through both.
# For each block the figure shows how far the class token moves when plain GELU takes the place of
# QuickGELU,
#
# $$\frac{\lVert h_l^{\mathrm{GELU}}(x) - h_l^{\mathrm{Quick}}(x) \rVert}
#        {\lVert h_l^{\mathrm{Quick}}(x) \rVert}.$$

# %%
images = architecture.spread(experiment.validation, 48)
print(f"{len(images.rows)} images; this profile computes with {detector.activation}")

# %% tags=["nbval-ignore-output"]
gap = tables.keep("activation_gap", architecture.activation_gap(profile, images))
method_figures.activation_gap(gap)
# %% tags=["nbval-ignore-output"]
gap.round(4)

# %% [markdown]
# Which one did the paper run? From its release 2.29 on, OpenCLIP builds `ViT-L-14` with plain GELU
# and only warns when OpenAI's weights are loaded into it. The author's code builds the model under
# this name, and its lock file pins release 2.32.0. The published numbers were therefore very
# probably made with **plain GELU**: the head and the last blocks were then trained on features that
# are not those which the weights were trained to give. The paper does not say. Here
# `encoder.activation` is `quick_gelu`, `gelu` or `auto`, which follows the weights, and every run's
# record names the one that was used.

# %% [markdown]
# ## What happens to a training image
#
# A training image is cropped at random, then perhaps mirrored, shifted in colour, turned,
# recompressed as JPEG, and made smaller and larger again. The paper aims these steps at the
# sensitivity of detectors to such changes that recent work has shown
# {cite:p}`grommelt2025fake,li2025improving`.
#
# Each column is one draw. A row shows one step by itself, as if it happened for certain, beside its
# probability in this profile; `all steps` takes all of them, `as in training` each with its
# probability. Chance decides about each step apart from the others, so a column shows the same crop
# throughout.

# %% tags=["nbval-ignore-output"]
style.as_jpeg(method_figures.augmentation_sheet(photograph, profile.images, seed=seed))
# %% [markdown]
# Validation and test images get none of this: they are enlarged if they are small, and their centre
# is cut out.

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
