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
# # On photographs
#
# The other chapters ran in a world that the program makes. This one is about photographs and images
# that people generated, seen by CLIP itself: ViT-B/16, its weights rounded to 8 bits per channel.
# The images and the weights are not here. What is here are all predictions that were made of the
# images, and everything on this page is computed from them as it is read.

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display
from myst_nb import glue

from layerfusion.metrics.groups import (
    errors_by_source,
    source_table,
    style_gaps,
    style_table,
    worst_groups,
    worst_sources,
)
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.experiments.alpha import read_alpha
from layerfusion.experiments.content import read_content
from layerfusion.experiments.errors import study_errors
from layerfusion.experiments.record import published_study
from layerfusion.experiments.sealing import read_seal
from layerfusion.experiments.shortcuts import read_shortcuts
from layerfusion.pages.figures import answers, effects
from layerfusion.pages.figures import errors as error_figures
from layerfusion.pages.figures.data import counts_table, sources_table
from layerfusion.pages.figures.intervals import draw_by_source
from layerfusion.pages.figures.tables import by_run
from layerfusion.paths import reference_folder
from layerfusion.provenance import processor_name
from layerfusion.settings import Profile

tables = ChapterTables("10_photographs", checked_parameters(globals()))
folder = reference_folder("photographs")
study, detectors = (published_study(folder, name) for name in ("claims", "detectors"))
both = effects.claims_of_worlds(study, published_study(reference_folder("demo"), "claims"))
answer = f"{effects.claims_in_a_sentence(study)} {answers.verdicts_in_a_sentence(study)}"
glue("answer", answers.as_html(answer))

# %% [markdown]
# ## What was looked at

# %%
display(Markdown(Profile.model_validate(study.record.settings).about))

# %% [markdown]
# The training images of the constrained run are of one kind, those that the open run adds are what
# circulates; the validation images are of sources of their own, and in part of the same. Settings
# were committed before any of the runs, and stayed. Counts, by what was said of a source:

# %%
tables.keep("counts", counts_table(folder), fixed=True)

# %% [markdown]
# All sources, with the licence that was found beside the images. None of these images is
# redistributed here; `croissant.json` beside the predictions describes the set for machines, and
# `images.parquet` has the sha256 of each of them.
#
# The *official* images are of sources that lie nowhere else. What would be judged, on which of them
# and by which rules, was written down first (`runs/reference/photographs/plan.md`);
# predictions, thresholds and plan were sealed, and only then were their labels let in:

# %% tags=["hide-output"]
tables.keep("sources", sources_table(folder), fixed=True)

# %%
for one in (study, detectors):
    seal = read_seal(one.directory)
    opened = ", ".join(opening.at for opening in seal.openings)
    plan = seal.files["plan.md"][:16]
    print(f"{one.record.name}: sealed {seal.at}, opened {opened}, sha256 of the plan {plan}...")

# %% [markdown]
# ## The paper's claims
#
# Each effect is written so that it is positive where its claim holds. Its interval, `low` to
# `high`, is over other sources and other seeds: photographers and generators that nobody had, real
# and synthetic ones drawn apart {cite:p}`mackinnon2023fast,satterthwaite1946`. `images_low` and
# `images_high` are over other images of the *same* sources; in simulations at these sizes they hold
# the truth less than half as often as they promise.
#
# There are two values to compare with, 0 and the paper's own effect, which was measured on 10,000
# images and has a sampling error too {cite:p}`simonsohn2015small`. A claim **replicates** where the
# interval excludes 0 on the paper's side; the effect is **smaller than in the paper** where it also
# lies wholly below the paper's; there is **no effect of the paper's size** where it contains 0 and
# excludes the paper's effect; it is **reversed** on the other side of 0, and **undecided** where it
# contains both. What the paper has no number for *holds* above 0. `corrected` is the verdict where
# all rows are one family of tests {cite:p}`holm1979simple`.

# %%
claims = effects.claims_table(study)
tables.keep("claims", claims, fixed=True)
effects.claims_cells(study)

# %% tags=["nbval-ignore-output"]
effects.draw_claims(claims)

# %%
print(f"{len(claims)} claims computed from {len(study.predictions):,} predictions")
tables.keep("verdicts", answers.verdict_counts(study), fixed=True)

# %% [markdown]
# A gain may be that of one generator. Each of the primary effects, and what is left of it without
# the one source that moves it most:

# %%
primary = [
    "open-above-constrained-local-roc_auc",
    "open-above-constrained-official-roc_auc",
    "fusion-above-last-official-constrained",
    "fusion-above-last-official-open",
]
display(Markdown(answers.leaning_in_a_sentence(study, primary)))

# %% [markdown]
# ## Learned weights
#
# Trained as the paper trains them, the weights of the blocks hardly leave 1/12, so that "learned
# weights are no better than equal ones" compares a mean with nearly that mean. Hence a head whose
# block weights learn a hundred times as fast (`moving`), and move. And alpha alone says little of a
# block's part: one projection for all blocks leaves their scale to the tokens. What becomes of the
# logit where a block's token is replaced by its mean over images says more.

# %%
blocks = answers.block_table(read_alpha(study.directory))
tables.keep("blocks", blocks, fixed=True)
display(Markdown(answers.alpha_in_a_sentence(blocks)))

# %% tags=["nbval-ignore-output"]
answers.draw_alpha(blocks)

# %% [markdown]
# The metrics of every head, means over seeds. `all` is the paper's head, `last` reads the last
# block alone, `mean` gives every block the same weight.

# %%
tables.keep("heads", effects.metrics_table(study), fixed=True).round(4)

# %% [markdown]
# The same claims in the demo world, side by side; the front page shows this table.

# %% tags=["nbval-ignore-output"]
tables.keep("answers", both, fixed=True)
glue("answers", effects.styled_worlds(both))

# %% [markdown]
# ## The detector that is shipped
#
# It learned from all training images, once, and not in ten seeds; its threshold was chosen on
# validation images, so that photographs of other sources should be called synthetic in 10 % of
# cases at most, the uncertainty over sources included. Here is what became of that on the official
# images, beside the paper's head on the same training images, the former default, and what size,
# bytes and format of a file give without its pixels. Intervals are over other sources.

# %%
glue("detector", answers.as_html(answers.detector_in_a_sentence(detectors)))

# %%
tables.keep("detectors", answers.detectors_table(detectors), fixed=True)

# %% [markdown]
# On the validation images, which chose epoch and threshold, the same detectors look better:

# %%
tables.keep("detectors_local", answers.detectors_table(detectors, "local"), fixed=True)

# %% [markdown]
# Differences, positive where the first is better, and the shipped detector source by source:

# %%
tables.keep("detector_effects", effects.claims_table(detectors), fixed=True)
effects.claims_cells(detectors)[["effect", "95 % interval", "verdict", "corrected"]]

# %%
own = detectors.scored["official"]["photographs"]
tables.keep("official_sources", errors_by_source(own), fixed=True).round(2)

# %% [markdown]
# ## Source by source
#
# One number over all images hides the source that a detector fails on. Each source's images, held
# against all images of the other class:

# %%
scored = {run: study.scored["local"][run] for run in ("constrained", "open")}
by_source = tables.keep("by_source", by_run(scored, source_table), fixed=True)
by_source.round(3)

# %% tags=["nbval-ignore-output"]
draw_by_source(by_source, "estimate", "ROC AUC against all images of the other class", line=0.5)

# %% [markdown]
# The worst source of each class, as a value to expect at worst among those of ten images or more:

# %%
tables.keep("worst", by_run(scored, worst_sources), fixed=True).round(3)

# %% [markdown]
# ## Which images
#
# At the thresholds, errors by all that is known of an image: its source, style and size, the
# quality that its JPEG was written with, and what it shows. For the last, the frozen encoder's
# output was put into groups that know neither labels nor scores, and somebody looked at a sheet of
# each and gave it a name. Each group is compared with the other images of its own sources, for a
# photographer who likes coasts is a finding about the photographer; `expected` is what all images
# of these sources would give. A property that groups the images as one before it does is left out:
# every generator has a source of its own here.

# %%
errors = study_errors(study, read_content(folder))
tables.keep("errors", errors, fixed=True)
display(Markdown(error_figures.in_a_sentence(errors)))

# %% tags=["nbval-ignore-output"]
error_figures.slices(errors)

# %% [markdown]
# The worst group of each class beside all of its images, among groups of ten or more. The worst of
# many looks worse than it is: read it with its corrected p-value.

# %%
tables.keep("worst_groups", worst_groups(errors), fixed=True).round(4)

# %% [markdown]
# ## It is a drawing
#
# Real images here are photographs. Of the generated ones some are photographic, some illustrations,
# and some sources hold both. To call a drawing generated is no forensics, so here is each style by
# itself against all photographs. Styles have sources of their own, so that what differs may be a
# source as well as a style:

# %%
tables.keep("styles", by_run(scored, style_table), fixed=True).round(3)

# %% [markdown]
# And what that is worth: how much higher the AUC is, over all images and on illustrations, than on
# photographic images alone.

# %%
tables.keep("style_gaps", by_run(scored, style_gaps), fixed=True).round(3)

# %% [markdown]
# ## Short cuts
#
# Detectors that never look at what an image shows: one reads the files' metadata (size, bytes,
# format), one the radial spectrum of the crop. They learn from the same training images and are
# scored on the same validation images: so much can be had without looking at a picture. A detector
# that is better has not shown thereby that it does not use them too, nor one that is not better
# that it does.

# %%
shortcuts = effects.beside_shortcuts(read_shortcuts(study.directory), study)
tables.keep("shortcuts", shortcuts, fixed=True).round(3)

# %% [markdown]
# ## What it took

# %%
record = study.record
print(record.command)
minutes = record.seconds["total"] / 60
print(f"{len(record.cells)} runs, {minutes:.0f} minutes, {processor_name(record.provenance)}")

# %% [markdown]
# ## What these answers are worth
#
# They are about a smaller CLIP whose blocks stay frozen, on few images, whose classes differ in
# size, source and style. Seeds share the augmented views of each image, so that their spread is
# that of the head and of the order of images alone. Validation images chose checkpoint and
# threshold, as in the paper: numbers on *local* images are optimistic, those on official images are
# not. One contact with official labels there was before the plan: whoever asked for this study had
# tried heads on them and told us their order. Whoever has a GPU can undo the first of these limits:
# `--set encoder.trained_blocks=2 --set training.views=null`.
#
# ## Beside the recorded execution

# %% tags=["nbval-ignore-output"]
compared = tables.compare()
compared

# %%
print(compared.verdict)
