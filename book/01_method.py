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
# :::{admonition} In short
# :class: in-short
# **Question.** How does the detector turn an image into a decision, and what of it is learnt?
#
# **Answer.** One linear map projects the class tokens of all blocks. Their mean, with softmax weights
# {term}`alpha`, goes through a small classifier; its sigmoid is compared with a threshold. At the
# paper's size this head has {glue:text}`head_full` parameters, of which {glue:text}`blocks_full` are
# block weights. Alpha is not the importance of a block.
#
# **Holds for** the paper's detector {cite:p}`lean2026layerwise`. Sizes on this page are those of the
# profile {glue:text}`profile`. Where the paper is silent, its author's public code decides.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
import math
from pathlib import Path

import torch

from layerfusion.analysis import architecture
from layerfusion.images import augmentation
from layerfusion.images.reading import read_image
from layerfusion.images.transforms import EvaluationTransform
from layerfusion.metrics.probability import decide, probability
from layerfusion.model.detector import Detector
from layerfusion.model.fusion import LayerFusion
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import method as method_figures
from layerfusion.pages.figures import style
from layerfusion.scoring.detectors import detector_folder
from layerfusion.settings import load_profile

experiment = open_chapter("open", globals())
tables = ChapterTables("01_method", experiment)
profile = experiment.profile

# %% [markdown]
# ## The equation
#
# The encoder is the image half of CLIP {cite:p}`radford2021clip`, built by OpenCLIP
# {cite:p}`ilharco2021openclip`: a vision transformer of $L$ blocks. It has one token per patch, plus
# a {term}`class token` that collects the whole image. The class token $h_l(x)$ is taken after each
# block $l$, before the final LayerNorm. The last block may have lost traces that earlier ones keep
# {cite:p}`koutlis2024leveraging`; all are therefore projected by the same linear map, weighted and
# added:
#
# $$z(x) = \sum_{l=1}^{L} \alpha_l \, (W_p h_l(x) + b_p), \qquad
#   \alpha_l = \frac{e^{a_l}}{\sum_{k=1}^{L} e^{a_k}}.$$

# %% tags=["remove-input"]
source_of(LayerFusion.fuse, LayerFusion.alpha)

# %% [markdown]
# `h` holds a batch of images, `b`, with their blocks `l` and features `d`. The second `terms` serves
# an ablation with weights per feature. The block logits $a_l$ start at 0, and every $\alpha_l$
# at $1/L$.
#
# ### By hand
#
# Two blocks, two features, $W_p$ the identity and $b_p = 0$:

# %%
h = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
a = torch.tensor([0.0, math.log(3)])
alpha = a.exp() / a.exp().sum()
print(alpha, alpha @ h)

# %% [markdown]
# The softmax gives $(1/4, 3/4)$, and $z = 1/4\,(1, 0) + 3/4\,(0, 2) = (0.25, 1.5)$. The package
# computes the same:

# %%
fusion = LayerFusion(blocks=2, width=2, projection_width=2)
with torch.no_grad():
    fusion.projection.weight.copy_(torch.eye(2))
    fusion.projection.bias.zero_()
    fusion.block_logits.copy_(a)
    print(fusion.alpha(), fusion.fuse(h[None])[0])

# %% [markdown]
# ### What alpha is not
#
# Block 2 has three times the weight of block 1 and six times its share of $z$, since its token is
# twice as long. With one projection for all blocks and weights of sum 1, the equation is
#
# $$z(x) = W_p \sum_{l=1}^{L} \alpha_l h_l(x) + b_p,$$
#
# a weighted mean of tokens, projected once. What a block contributes depends on the length of its
# token as well, and nothing fixes that length. Alpha is therefore not importance.
# [On photographs](10_photographs) shows alpha beside the effect of replacing a block's token.
#
# ## From z to a decision
#
# A small classifier $f$ (LayerNorm, Dropout, Linear, GELU, Dropout, Linear) makes the {term}`logit`
# $f(z)$. Its sigmoid is the probability $p(x) = \sigma(f(z(x)))$, and an image is predicted
# synthetic where $p(x) \geq t$:

# %% tags=["remove-input"]
source_of(decide)

# %% [markdown]
# `SAME_LOGIT` covers the last bits in which the same image differs between batches. Training
# minimises the binary cross-entropy, and the {term}`threshold` $t$ maximises F1 on the validation
# images: [The constrained run](02_constrained_run) shows both.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "The detector from image to probability: patches, blocks, class tokens, shared projection, block weights, sum, classifier, sigmoid."}}
detector = Detector.build(profile.encoder, profile.head, profile.images, seed=seed)
detector.eval()
method_figures.overview(detector)

# %% [markdown]
# The paper's Figure 1, with the sizes of this profile. Grey parts are trained: the head and the last
# {glue:text}`trained_blocks` of {glue:text}`blocks` blocks. Hatched parts stay as pretrained.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of every stage and its size"}
tables.keep("shapes", architecture.stages(detector), fixed=True)

# %% [markdown]
# ## One image, followed
#
# The demo detector comes with the package and is trained. It gets a photograph of the training
# images, the one with the largest file.

# %% tags=["hide-input"]
training = experiment.training
photographs = training.rows[training.rows["label"] == 0]
richest = photographs.sort_values(["bytes", "path"])["path"].iloc[-1]
photograph = read_image(training.root / richest)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "The photograph, and its central crop divided into patches."}}
demo = Detector.load(detector_folder("demo"))
x = EvaluationTransform(demo.image_settings)(photograph)
patch = demo.encoder.visual.conv1.kernel_size[0]
style.as_jpeg(method_figures.patches(photograph, x, patch))

# %% tags=["nbval-ignore-output"]
with torch.inference_mode():
    h = demo.class_tokens(x[None])  # a batch of one image
    u, alpha = demo.head.projection(h), demo.head.alpha()
    z = demo.head.fuse(h)
    logit = demo.head.classifier(z)[:, 0]
p, synthetic = probability(logit), decide(logit, demo.threshold)
for name, value in {"x": x, "h": h, "W h + b": u, "alpha": alpha, "z": z}.items():
    print(f"{name:<9}{tuple(value.shape)!s:<14}{value.min():8.3f} to {value.max():8.3f}")
for name, number in {"logit": logit.item(), "p": p.item(), "t": demo.threshold}.items():
    print(f"{name:<9}{number:.3f}")
print("decision", "synthetic" if synthetic else "real")

# %% tags=["remove-cell"]
length = u[0].norm(dim=1)
full = load_profile("paper")
heads = {
    f"{profile.name}: {Path(profile.encoder.model).stem}": detector.head,
    f"full size: {full.encoder.model}": architecture.head_of(full.encoder, full.head),
}
head_sizes = architecture.head_parameters(heads)
of_paper = head_sizes.iloc[:, 1]
linear = of_paper["shared projection"] + of_paper["classifier 3: Linear"]
glue_texts(
    profile=profile.name,
    blocks=str(detector.encoder.depth),
    trained_blocks=str(detector.encoder.trained_blocks),
    p=f"{p.item():.3f}",
    threshold=f"{demo.threshold:.3f}",
    decision="synthetic" if synthetic else "real",
    lengths=f"{length.max() / length.min():.1f}",
    alphas=f"{alpha.max() / alpha.min():.2f}",
    head_full=f"{of_paper['head']:,}",
    blocks_full=f"{of_paper['block logits']:,}",
    linear_share=f"{linear / of_paper['head']:.1%}",
    **{f"count_{part}": f"{n:,}" for part, n in detector.parameter_counts().items()},
)

# %% [markdown]
# With $p$ = {glue:text}`p` and $t$ = {glue:text}`threshold` this photograph is predicted
# {glue:text}`decision`: the threshold decides, not 0.5. Across blocks the largest alpha is
# {glue:text}`alphas` times the smallest, and the longest projected token {glue:text}`lengths` times
# the shortest: neither number alone ranks the blocks. For real photographs the demo detector's
# scores mean nothing.
#
# ## Parameters

# %%
tables.keep("head", head_sizes, fixed=True)

# %% [markdown]
# The projection and the first linear layer hold {glue:text}`linear_share` of the paper's head; the
# fusion, which gives the method its name, is {glue:text}`blocks_full` numbers. The detector of this
# profile has {glue:text}`count_frozen` frozen parameters, {glue:text}`count_trained_blocks` in
# trained blocks and {glue:text}`count_head` in the head. Among the frozen ones are the final LayerNorm and
# the output projection, which the head does not read.
#
# ## The activation trap
#
# OpenAI's CLIP was trained with QuickGELU, $x\,\sigma(1.702\,x)$, an approximation of GELU,
# $x\,\Phi(x)$ {cite:p}`hendrycks2016gelu`.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "QuickGELU and GELU, which nearly coincide, and their difference."}}
curves = architecture.activation_curves()
method_figures.activations(curves)

# %% [markdown]
# The two differ by at most {glue:text}`largest`, but in every block. Below, the encoder is built with
# both activations and the same pretrained weights, and {glue:text}`images` validation images pass
# through. The figure shows
#
# $$\frac{\lVert h_l^{\mathrm{GELU}}(x) - h_l^{\mathrm{Quick}}(x) \rVert}
#        {\lVert h_l^{\mathrm{Quick}}(x) \rVert}.$$

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Relative difference of class tokens between both activations, block by block."}}
images = architecture.spread(experiment.validation, 48)
gap = tables.keep("activation_gap", architecture.activation_gap(profile, images))
method_figures.activation_gap(gap)

# %% [markdown]
# The class token of the median image moves by {glue:text}`gap_first` after the first block and by
# {glue:text}`gap_last` after the last.

# %% tags=["nbval-ignore-output", "hide-output"] mystnb={"code_prompt_show": "Show the table of differences"}
gap.set_axis(["lower quartile", "median", "upper quartile"], axis=1).map("{:.2%}".format)

# %% tags=["remove-cell"]
glue_texts(
    largest=f"{(curves['gelu'] - curves['quick_gelu']).abs().max():.3f}",
    images=str(len(images.rows)),
    gap_first=f"{gap['median'].iloc[0]:.1%}",
    gap_last=f"{gap['median'].iloc[-1]:.1%}",
    activation={"gelu": "GELU", "quick_gelu": "QuickGELU"}[detector.activation],
)

# %% [markdown]
# Which activation did the paper use? From release 2.29 on, OpenCLIP builds `ViT-L-14` with plain
# GELU, and only warns when OpenAI's weights are loaded. The author's code builds this name, and its
# lock file pins release 2.32.0. The published numbers were very probably made with **plain GELU**;
# the paper does not say. Here `encoder.activation` is `quick_gelu`, `gelu`, or `auto`, which follows
# the weights; this profile computes with {glue:text}`activation`.
#
# ## What happens to a training image
#
# A training image is cropped at random, then perhaps mirrored, shifted in colour, rotated,
# recompressed, and resized down and up. The paper aims these steps at the sensitivity to
# transformations {cite:p}`grommelt2025fake,li2025improving`. Recompression, for one:

# %% tags=["remove-input"]
source_of(augmentation.recompress)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Three random crops of the photograph, each after every augmentation step by itself and after all of them."}}
style.as_jpeg(method_figures.augmentation_strips(photograph, profile.images, seed=seed))

# %% [markdown]
# Each row is one draw. A step is shown as if it happened for certain, under its probability in this
# profile; *as in training* takes each with its probability. Validation and test images get none of
# this: small ones are enlarged, and the centre is cut out.

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - z is a weighted mean of the class tokens of all blocks, projected once.
# - Alpha is not importance: the size of the tokens is free.
# - The same weights with the other activation are another encoder: check which one is in use.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Add a third block to the example by hand: $h_3 = (2, 2)$, $a_3 = \ln 4$. What are alpha and z? Which
# block contributes most to the first feature of z, and which to the second?
# ```{dropdown} Answer
# The exponentials are 1, 3 and 4, so alpha is $(1/8, 3/8, 1/2)$ and
# $z = (1/8 + 1,\; 6/8 + 1) = (1.125, 1.75)$. Block 3 contributes most to both, 1 of 1.125 and 1 of
# 1.75. Were $h_2$ ten times as long, block 2 would lead in the second feature with the same alpha.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare()
compared

# %% tags=["remove-cell"]
print(compared.verdict)
