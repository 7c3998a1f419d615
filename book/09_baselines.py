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
# # Is it the layers?
#
# :::{admonition} In short
# :class: in-short
# **Question.** Do the other blocks make the paper's head better, or would any head with a second
# layer do on the last block?
#
# **Answer.** It is the other blocks, as far as few sources can tell. They add
# {glue:text}`depth_constrained` {term}`ROC AUC` to the paper's head in the constrained run and
# {glue:text}`depth_open` in the open run. The head's second layer, on the last block alone, adds
# {glue:text}`layer_constrained` and {glue:text}`layer_open` to a linear probe. RINE, which also
# reads all blocks, cannot be told from the paper's head ({glue:text}`constrained_rine` and
# {glue:text}`open_rine`).
#
# **Holds for** {glue:text}`images` validation images, photographs and generated ones, and a frozen
# CLIP ViT-B/16. Few sources make wide intervals: after correction {glue:text}`corrected` of the
# {glue:text}`compared` comparisons with baselines remains measurable.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
from IPython.display import Markdown

from layerfusion.experiments.baselines import linear_probe, registry
from layerfusion.experiments.record import published_study
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import baselines, effects
from layerfusion.pages.figures.formatting import interval_cells, with_interval
from layerfusion.paths import reference_folder
from layerfusion.provenance import processor_name

tables = ChapterTables("09_baselines", checked_parameters(globals()))
folder = reference_folder("photographs")

# %% [markdown]
# ## What the blocks add, and what the second layer adds
#
# A linear probe differs from the paper's head in two things: it reads CLIP's final embedding, which
# comes from the last block alone, and it has one layer. The paper's head on the last block stands
# between the two. RINE {cite:p}`koutlis2024leveraging` is another head that reads all blocks.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Rise of ROC AUC in both runs: the other blocks add about the same in the paper's head and in RINE, a second layer on the last block adds nothing."}}
study, weights = (published_study(folder, name) for name in ("baselines", "weights"))
steps = tables.keep("steps", baselines.steps(study, weights), fixed=True)
baselines.draw_steps(steps)

# %% [markdown]
# What the paper's head gains over a linear probe, it gains by depth; its second layer adds nothing
# that can be measured. In the open run the interval of the gain, {glue:text}`depth_open`, still
# contains 0. RINE's gain over the probe is of the same size, {glue:text}`depth_rine_constrained` and
# {glue:text}`depth_rine_open`, and less certain.
#
# ## Ranking
#
# All detectors learn from the same augmented views of the same photographs, score the same
# validation images, and get their thresholds in the same way. Their differences from the paper's
# head, paired by image and seed:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Differences of ROC AUC from the paper's head in both runs: RINE nearest, linear probe and linear support vector machine below."}}
order = {"by": ["run", "roc_auc"], "ascending": [True, False]}
compared = effects.variants_table(study).sort_values(**order)
effects.draw_variants(tables.keep("ranking", compared, fixed=True))

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the ranking"}
effects.cells_table(compared)

# %% tags=["remove-cell"]
rises = steps.assign(cell=interval_cells(steps, "roc_auc", "+.3f"))
shorts = dict(zip(baselines.STEPS, ("depth", "depth_rine", "layer"), strict=True))
differences = compared.assign(cell=interval_cells(compared, "difference", "+.3f"))["cell"]
heads = {
    f"auc_{run}": with_interval(compared.loc[run], "roc_auc") for run in ("constrained", "open")
}
images = study.record.data["images"]
glue_texts(
    **{f"{shorts[row.added]}_{row.run}": row.cell for row in rises.itertuples()},
    **{name.replace("-", "_"): text for name, text in differences.items() if text},
    **heads,
    images=f"{images['val']:,}",
    training_images=f"{images['train']:,}",
    seeds=str(len(study.record.seeds)),
    compared=str(len(study.record.contrasts)),
    measurable=effects.counted(effects.measurable(compared)),
    corrected=str((compared["p_holm"] < 0.05).sum() or "none"),
)

# %% [markdown]
# The paper's head reaches {glue:text}`auc_constrained` in the constrained run and
# {glue:text}`auc_open` in the open run, means over {glue:text}`seeds` seeds. Replacing it with a
# baseline changes {glue:text}`measurable`. Only the support vector machine is measurably lower,
# {glue:text}`constrained_linear_svm` and {glue:text}`open_linear_svm`; the linear probe, at
# {glue:text}`constrained_linear_probe` and {glue:text}`open_linear_probe`, misses that by little.
#
# ## How much each learns
#
# RINE learns an importance for every feature of every block where the paper's head learns one number
# for each block. Seconds are of a training on cached frozen features.

# %% tags=["nbval-ignore-output"]
sizes = baselines.sizes(study, weights)
tables.keep("sizes", sizes, fixed=True)
shown = sizes.rename(columns={"parameters": "learned numbers"}).set_index("detector")
shown.style.format({"learned numbers": "{:,}", "seconds": "{:.1f}"})

# %% tags=["remove-cell"]
learned = sizes.set_index(sizes["detector"].str.partition(" (")[0])
more = (
    learned.loc["RINE", ["parameters", "seconds"]]
    / learned.loc["layer fusion", ["parameters", "seconds"]]
)
glue_texts(times_larger=f"{more['parameters']:.0f}", times_longer=f"{more['seconds']:.0f}")

# %% [markdown]
# RINE is {glue:text}`times_larger` times as large and takes {glue:text}`times_longer` times as long,
# and scores no higher. At their thresholds the order of the detectors is much the same:

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of rates"}
rates = tables.keep("rates", baselines.rates(study), fixed=True).round(3)
rates.set_index(["run", "detector"]).rename(columns=baselines.SHOWN)

# %% [markdown]
# ## Are the baselines what was published?
#
# The linear probe is one layer on the final embedding, trained as its paper says:

# %% tags=["remove-input"]
source_of(linear_probe.fit_linear_probe)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show how each baseline differs from its public code"}
Markdown(baselines.described(list(registry.BASELINES)))

# %% [markdown]
# The comparison favours the paper's head in one point: its checkpoint was chosen on the images that
# are scored, while the baselines are scored as they end. No setting of a baseline was tuned on these
# images. All learn from at most {glue:text}`training_images` training images, few for RINE's many
# numbers.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show command and compute cost"}
seconds = study.record.seconds
print(study.record.command)
print(f"training and fitting: {seconds['training'] / 60:.0f} minutes")
print(f"features of the frozen encoder: {seconds['scoring'] / 60:.0f} minutes")
print(processor_name(study.record.provenance))

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - The gain over a linear probe comes from the other blocks, not from the second layer.
# - RINE, the other head that reads all blocks, cannot be told from the paper's head.
# - With few sources, differences of some hundredths of ROC AUC are at the limit of what can be shown.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# A head with two layers on all blocks beats a linear probe. Why does that not show that depth helps,
# and which comparison does?
# ```{dropdown} Answer
# The two differ in layers and in blocks. The paper's head on the last block has the two layers
# alone: it adds {glue:text}`layer_constrained` to the probe. What is missing to all blocks,
# {glue:text}`depth_constrained`, is due to the other blocks (constrained run).
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
beside = tables.compare()
beside

# %% tags=["remove-cell"]
print(beside.verdict)
