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

from layerfusion.chapters.kept_tables import ChapterTables
from layerfusion.chapters.parameters import open_chapter, reference_folder
from layerfusion.figures.ablations import draw_ablation, in_a_sentence, shown
from layerfusion.studies.ablation_record import ablation_table, published_ablations

tables = ChapterTables("08_ablations", open_chapter("open", globals()))
ablations = published_ablations(reference_folder("photographs"))
found = {name: ablation_table(ablation) for name, ablation in ablations.items()}
for name, ablation in ablations.items():
    display(Markdown(f"**{ablation.record.question}** {in_a_sentence(found[name])}"))

# %% [markdown]
# A difference is of ROC AUC on the same validation images, between trainings of the same seed, so
# that what images and seeds have in common falls out of it. Its interval covers other images of
# these sources and other seeds; with few seeds it is wide. Checkpoints were chosen on these images,
# for every variant alike.
#
# ## All of them

# %%
for name, table in found.items():
    tables.keep(name, table, fixed=True)
    display(Markdown(f"### {ablations[name].record.question}"))
    display(shown(table))

# %% tags=["nbval-ignore-output"]
for table in found.values():
    display(draw_ablation(table))

# %% [markdown]
# ## What it took
#
# The commands that make these again, on what they ran, and how long the trainings took. Variants of
# a table were trained on the same kind of machine; the numbers of two tables may not be.


# %%
def cost(ablation):
    made, runs = ablation.record.provenance, ablation.record.runs
    return {
        "command": ablation.record.command,
        "trainings": len(runs),
        "minutes": round(sum(run.training_seconds for run in runs) / 60),
        "on": made["gpu"] or made["processor"]["name"],
    }


costs = pd.DataFrame({name: cost(ablation) for name, ablation in ablations.items()}).T
tables.keep("costs", costs, fixed=True)

# %% [markdown]
# ## What is not here
#
# Whatever has no table above was not run. Any of these is one command, on any profile:
# `layerfusion ablation --help` has the list. The encoder is CLIP ViT-B/16 on few images, so nothing
# here says what as many images as the paper's do to ViT-L/14.
#
# ## Beside the recorded execution

# %% tags=["nbval-ignore-output"]
compared = tables.compare()
compared

# %%
print(compared.verdict)
