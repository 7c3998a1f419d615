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
# # Ablations
#
# Is it the fusion of layers that helps, or something else? The paper does not say, for it has no
# ablation. Here each question is a set of trainings that differ in one thing, on photographs and
# with CLIP ViT-B/16, as on the page [On photographs](10_photographs). All that is shown is computed
# from the predictions of these trainings, which are committed; no image and no weight is needed.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
import pandas as pd
from IPython.display import Markdown, display

from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.experiments import catalogue
from layerfusion.experiments.record import published_study
from layerfusion.pages.figures.effects import cells_table, draw_variants, in_a_sentence
from layerfusion.pages.figures.effects import training_costs, variants_table
from layerfusion.paths import reference_folder

tables = ChapterTables("08_ablations", checked_parameters(globals()))
folder = reference_folder("photographs")
ablations = {name: published_study(folder, name) for name in catalogue.ABLATIONS}
found = {name: variants_table(ablation) for name, ablation in ablations.items()}
for name, ablation in ablations.items():
    display(Markdown(f"**{ablation.record.question}** {in_a_sentence(found[name])}"))

# %% [markdown]
# A difference is of ROC AUC on the same validation images, between trainings of the same seed, so
# that what images and seeds have in common falls out of it. Its interval is over
# other sources and other seeds. Checkpoints were chosen on these images,
# for every variant alike.
#
# Within a table everything is compared on the same images; between tables the images may differ, as
# some were recorded when there were fewer validation images. The table at the end says how many,
# with how many seeds, at which commit and on what. Where a difference is between trainings of two
# machines, it holds what these differ by, too: about .001 of ROC AUC. The column `machines` of the
# tables beside this page names both then.
#
# ## All of them

# %%
for name, table in found.items():
    tables.keep(name, table, fixed=True)
    display(Markdown(f"### {ablations[name].record.question}"))
    display(cells_table(table))

# %% tags=["nbval-ignore-output"]
for table in found.values():
    display(draw_variants(table))

# %% [markdown]
# ## What it took
#
# The commands that make these again, on what they ran, and how long the trainings took. A training
# that several tables share counts in each.

# %%
costs = pd.DataFrame({name: training_costs(study) for name, study in ablations.items()}).T
tables.keep("costs", costs, fixed=True)

# %% [markdown]
# ## What is not here
#
# Whatever has no table above was not run. Any of these is one command, on any profile:
# `layerfusion study --help` has the list. The encoder is CLIP ViT-B/16 on few images, so nothing
# here says what as many images as the paper's do to ViT-L/14.
#
# ## Beside the recorded execution

# %% tags=["nbval-ignore-output"]
compared = tables.compare()
compared

# %%
print(compared.verdict)
