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
# # How fast
#
# A run of the paper sees hundreds of thousands of training images, and somebody who looks through
# an archive has a million. What one core and one device do, where their time goes, how that
# compares with the obvious way to write the same, and what it comes to on more machines. Every
# number is read from a result in `benchmarks/results`, which says when and on what it was measured.
# None was measured while this page was made.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.analysis.projection import project
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.figures import benchmarks
from layerfusion.pages.figures.benchmarks import read_result
from layerfusion.settings import load_profile

tables = ChapterTables("12_speed", checked_parameters(globals()))
preparation, scoring, gpu, cpu = (
    read_result(name)
    for name in (benchmarks.PREPARATION, benchmarks.SCORING, benchmarks.GPU, benchmarks.CPU)
)
display(Markdown(benchmarks.in_a_sentence(preparation)))

# %% [markdown]
# ## Preparing images
#
# *The obvious way* is `benchmarks/reference`: torchvision's transforms of PIL images one after
# another, and a full pass for each condition of the robustness suite. It is correct: the benchmark
# stops if an evaluation pixel differs under any condition. Both are timed in turns, each on one
# core in a process of its own, so that each ratio is of one minute; what is shown is the median of
# the rounds, and the least and largest ratio.

# %%
display(Markdown(f"Measured {benchmarks.in_a_line(preparation)}."))
tables.keep("preparation", benchmarks.measured_table("preparation", preparation), fixed=True)

# %% [markdown]
# Why it is faster: of a JPEG no more rows are decoded than the crop reaches down to, by simplejpeg,
# without Pillow's detours and to the same bits; the crop is cut out before anything is converted or
# turned; steps work on bytes in one array. JPEG and laundering of a condition are made about the
# crop alone, in such a way that the pixels are those of the whole image. Where the time of a
# training image goes, at 500 x 375, each step timed where it is taken, the whole image decoded:

# %%
tables.keep("steps", benchmarks.steps_table(preparation), fixed=True)

# %% [markdown]
# Libraries that decode a JPEG, in milliseconds; the crop is the central one. All give Pillow's
# pixels. pyvips, too, decodes no further than the last row that is asked for, which pays on large
# photographs alone; it is not used here.

# %%
tables.keep("decoders", benchmarks.decoders_table(preparation), fixed=True)

# %% [markdown]
# ## The encoder
#
# ViT-L/14 at full size, batch 16 in training and 64 in scoring on the GPU. The matmul rate is the
# largest that the same device reached on plain matrix products of the same precision: how much of
# it a step uses says whether arithmetic or the launching of its many small kernels is what it waits
# for.

# %%
tables.keep("encoder", benchmarks.encoder_table(gpu, cpu), fixed=True)

# %% [markdown]
# ### Beside the obvious way
#
# The obvious way is `benchmarks/reference/encoder.py`: all of CLIP in memory, a hook on each block,
# one loss, one optimiser. Here CLIP ViT-B/16 on a processor, two blocks trained, batch 16; the
# weights are the same, and the benchmark stops if the logits are not.

# %%
training = read_result(benchmarks.TRAINING)
display(Markdown(f"Measured {benchmarks.in_a_line(training)}."))
tables.keep("training", benchmarks.measured_table("training", training), fixed=True)

# %%
display(Markdown(benchmarks.images_share_in_a_sentence(training)))

# %% [markdown]
# ### Settings of the forward pass
#
# On a processor: the default detector, ViT-B/16, on photographs from memory, in turns; *times* are
# those of the default. *Logits move by* is the largest difference from its logits. *bfloat16
# weights* are what `encoder.prefix_precision: bfloat16` in a profile gives the frozen blocks.
# The rows of bf16 above are autocast, which keeps weights in float32, and loses on a processor what
# these win. Float32 stays the default, for bfloat16 moves scores.

# %%
options = read_result(benchmarks.OPTIONS)
display(Markdown(f"Measured {benchmarks.in_a_line(options)}."))
tables.keep("options", benchmarks.options_table(options), fixed=True)

# %% [markdown]
# ## Scoring a folder
#
# `layerfusion score` with the default detector, ViT-B/16, beside the forward pass alone on the same
# pixels; seconds unless the row names another unit.

# %%
display(Markdown(f"Measured {benchmarks.in_a_line(scoring)}."))
tables.keep("scoring", benchmarks.measured_table("scoring", scoring), fixed=True)

# %% [markdown]
# ## Past one machine

# %%
rates = benchmarks.rates(gpu, preparation)
display(Markdown(benchmarks.assumptions(rates)))

# %% [markdown]
# *At worst*: the paper's batch of 16 does not grow with the number of devices. Shared by eight, a
# step has two images each and waits for launches, so that more devices may bring nothing at all in
# training. They do in scoring, until the store cannot follow.

# %%
work = benchmarks.papers_work(load_profile("paper").training.epochs)
projection = tables.keep("projection", project(work, rates, devices=[1, 8, 64]), fixed=True)
benchmarks.shown_projection(projection)

# %% [markdown]
# What was not measured: preparation on the cores of the GPU's machine with this code (the rates are
# those of the processor above), more than one GPU, and reading from a store that others use.
