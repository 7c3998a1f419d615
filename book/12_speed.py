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
# # Speed
#
# :::{admonition} In short
# :class: in-short
# **Question.** How many images per second do one core and one GPU process, compared with a
# reference implementation, and what follows for more devices?
#
# **Answer.** One core prepares {glue:text}`prepared` training images of {glue:text}`size` px per
# second, {glue:text}`times` times as many as the reference implementation. The encoder is about
# as fast ({glue:text}`forward_times` times forward, {glue:text}`step_times` in a training step). The
# paper's constrained run would take {glue:text}`run_hours` hours on one
# {glue:text}`gpu`.
#
# **Holds for** the machines named with each result of `benchmarks/results`; nothing was measured
# while this page was executed. Hours of whole runs are a projection.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
from layerfusion.analysis.projection import project
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts
from layerfusion.pages.figures import benchmarks
from layerfusion.pages.figures.benchmarks import measured_table, read_result
from layerfusion.settings import load_profile

tables = ChapterTables("12_speed", checked_parameters(globals()))
preparation, scoring, gpu, cpu, training, options = (
    read_result(name)
    for name in (
        benchmarks.PREPARATION,
        benchmarks.SCORING,
        benchmarks.GPU,
        benchmarks.CPU,
        benchmarks.TRAINING,
        benchmarks.OPTIONS,
    )
)

# %% [markdown]
# ## Against a reference implementation
#
# The reference (`benchmarks/reference`) is torchvision's transforms of PIL images one after another, a
# full pass for each condition of the robustness suite, and all of CLIP with a hook on each block.
# The benchmark stops if a pixel or a logit differs. Both are timed in turns.

# %%
prepared = tables.keep("preparation", measured_table("preparation", preparation), fixed=True)
trained = tables.keep("training", measured_table("training", training), fixed=True)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Speed of this package divided by that of the reference implementation: 1.6 to 3.4 times in preparing small images, 7 to 22 times for large ones, about 1 for the encoder."}}
by_size = {
    f"preparing {size} px": prepared.xs(size)
    for size in dict.fromkeys(prepared.index.get_level_values(0))
}
benchmarks.draw_ratios(
    by_size | {"ViT-B/16, two blocks trained": trained},
    "times as fast as the reference; bars: least and largest ratio",
)

# %% [markdown]
# The gain is in preparing images on one core, and it grows with their size: of a JPEG no more rows are decoded than the crop reaches down to. The crop is cut out before
# anything is converted or turned, and JPEG and laundering of a condition are computed about the crop
# alone, to the same pixels. Training gains little.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of preparing images"}
prepared

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of training"}
trained

# %% [markdown]
# Of the time of training from files, images take {glue:text}`share_own`; in the reference
# {glue:text}`share_reference`. Of a training image's own {glue:text}`steps_ms` ms (500 x 375),
# decoding takes {glue:text}`decode_ms`. All JPEG libraries below give Pillow's pixels; the one that
# stops at the crop's last row is used here.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of steps"}
tables.keep("steps", benchmarks.steps_table(preparation), fixed=True)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of JPEG libraries (ms)"}
tables.keep("decoders", benchmarks.decoders_table(preparation), fixed=True)

# %% [markdown]
# ## The encoder at full size
#
# The figure is of ViT-L/14, on the GPU with batch 16 in training and 64 in scoring. The matmul rate
# is the largest that the same device reached on plain matrix products of that precision.

# %%
encoder = tables.keep("encoder", benchmarks.encoder_table(gpu, cpu), fixed=True)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Images per second of ViT-L/14 on an H100 and on a processor by precision, and the share of the device's largest matrix-product rate: high in fp32, low in half precision on the GPU."}}
benchmarks.draw_encoder(encoder)

# %% [markdown]
# In fp32 arithmetic is the limit; in half precision the GPU waits for the launches of many small
# kernels.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of the encoder"}
encoder

# %% [markdown]
# ### Settings of the forward pass
#
# Settings of the default detector (ViT-B/16) are timed in turns with its default, on a processor:

# %%
tried = tables.keep("options", benchmarks.options_table(options), fixed=True)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Speed of five settings of the forward pass compared with the default at three batch sizes: bfloat16 weights about twice as fast, one thread half, the others about equal."}}
batches = {
    f"batch {batch}": own.droplevel(0).iloc[1:] for batch, own in tried.groupby(level=0)
}  # without the default itself
benchmarks.draw_ratios(batches, "times as fast as the default; bars: least and largest")

# %% [markdown]
# Only bfloat16 weights (`encoder.prefix_precision: bfloat16`) are much faster,
# {glue:text}`bfloat_times` at batch 16. They move logits by up to {glue:text}`bfloat_moves`, so
# float32 stays the default. Autocast (bf16 in the figure above) keeps weights in float32 and is
# slower on a processor.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of settings"}
tried

# %% [markdown]
# ## Scoring a folder
#
# `layerfusion score` takes {glue:text}`score_image` s per image from files, the forward pass alone
# {glue:text}`forward_image` s; files take {glue:text}`files_times` times as long as memory. A command
# for one image takes {glue:text}`score_one` s, most of it for libraries and weights.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of scoring (seconds unless named)"}
tables.keep("scoring", measured_table("scoring", scoring), fixed=True)

# %% [markdown]
# ## More than one machine
#
# A projection, not a measurement: the measured rates on more devices, each with
# {glue:text}`cores` cores, which read files of {glue:text}`file_kb` kB from one store of
# {glue:text}`store_gb` GB/s.

# %%
rates = benchmarks.rates(gpu, preparation)
work = benchmarks.papers_work(load_profile("paper").training.epochs)
projection = tables.keep("projection", project(work, rates, devices=[1, 8, 64]), fixed=True)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of the projection"}
benchmarks.shown_projection(projection)

# %% [markdown]
# A billion images are scored in {glue:text}`billion_1` hours on one device and in
# {glue:text}`billion_64` on 64, where the store is the limit. In training more devices may gain
# nothing (*at worst*): the paper's batch of 16 does not grow with them, and shared by eight, a step
# has two images each and waits for launches. Not measured: preparation on the cores beside the GPU,
# more than one GPU, and a store that others use.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show when and on what each was measured"}
benchmarks.measured_on(preparation=preparation, training=training, options=options, scoring=scoring,
                       encoder_gpu=gpu, encoder_cpu=cpu)  # fmt: skip

# %% tags=["remove-cell"]
first = preparation["preparation"][0]
shares = [row["share"] for row in training["measured"] if "share" in row]
ratios = {row["work"]: row["ratio"] for row in training["measured"] if "ratio" in row}
measured = measured_table("scoring", scoring)
seconds, files = measured["median"], measured.loc["files beside memory, times"]
bfloat = tried.loc[(16, "bfloat16 weights")]
hours = projection.set_index(["work", "devices"])["hours"]
glue_texts(
    forward_times=benchmarks.spread(ratios["forward pass"], ".2f"),
    step_times=benchmarks.spread(ratios["training step"], ".2f"),
    files_times=f"{files['median']:.2f} [{files['least']:.2f}, {files['most']:.2f}]",
    prepared=f"{first['per_second']['median']:,.0f}",
    size=first["size"],
    times=benchmarks.spread(first["ratio"], ".1f"),
    run_hours=f"{projection['hours'].iloc[0]:.1f}",
    gpu=gpu["device"],
    share_own=benchmarks.spread(shares[0], ".0%"),
    share_reference=benchmarks.spread(shares[1], ".0%"),
    steps_ms=f"{sum(preparation['steps_ms'].values()):.2f}",
    decode_ms=f"{preparation['steps_ms']['decode']:.2f}",
    bfloat_times=f"{bfloat['times']:.1f} [{bfloat['least']:.1f}, {bfloat['most']:.1f}] times",
    bfloat_moves=bfloat["logits move by"],
    score_image=f"{seconds['score, from files, an image']:.2f}",
    forward_image=f"{seconds['forward pass alone, an image']:.2f}",
    score_one=f"{seconds['layerfusion score IMAGE']:.1f}",
    cores=str(rates.cores),
    file_kb=f"{rates.image_bytes / 1e3:.0f}",
    store_gb=f"{rates.store / 1e9:.0f}",
    billion_1=f"{hours['scoring 1 billion', 1]:.0f}",
    billion_64=f"{hours['scoring 1 billion', 64]:.1f}",
)

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - Preparing images is where careful code pays; the encoder's time is arithmetic.
# - On a GPU in half precision the paper's batch of 16 leaves most of the arithmetic unused.
# - A whole run of the paper is an affair of minutes on one such GPU, if its cores keep up.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Why does the projection for 64 devices give {glue:text}`billion_64` hours for a billion images,
# rather than a 64th of {glue:text}`billion_1`?
# ```{dropdown} Answer
# The store gives {glue:text}`store_gb` GB/s to all devices together. A billion files of
# {glue:text}`file_kb` kB need that long to be read, however many devices wait for them.
# ```
# :::
