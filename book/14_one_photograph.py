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
# # One photograph

# %% tags=["parameters"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %%
from IPython.display import Markdown, display

from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.apps.evidence.levels import levels_by_source, reference_of
from layerfusion.experiments.record import published_study
from layerfusion.pages.figures import one_photograph
from layerfusion.pages.figures.benchmarks import in_a_line, read_result
from layerfusion.paths import reference_folder

tables = ChapterTables("14_one_photograph", checked_parameters(globals()))
counted = read_result(one_photograph.WORDS)
display(Markdown(one_photograph.in_a_sentence(counted)))

# %% [markdown]
# Somebody has one picture and asks what it is. `layerfusion inspect PHOTO --report report.html`
# answers in five words, from *strong*, *moderate* and *weak evidence of a generated image* over
# *unsure* to *no evidence*; `layerfusion serve` does the same on a local page. Here is how often
# these words are right, how a report is read, and what it cannot say.
#
# ## How often a word is right

# %%
display(Markdown(one_photograph.what_was_measured(counted)))

# %% [markdown]
# **These very images made the words.** A word is decided by how many of the detector's validation
# images score as high, and they also chose the detector's epoch and threshold. What is counted here
# is how the words come out, and what looking at other forms of a picture adds; how often they are
# right on pictures from elsewhere is below. Intervals are of 95 %, over other images of the
# same sources.
#
# As it is said, once other forms of the picture have been scored. *Right* is the share of images
# with this word that are of the class it speaks for, photographs where there is *no evidence*; half
# of these images are generated, and where fewer are, evidence is right less often.

# %%
words = tables.keep("words", one_photograph.words_table(counted), fixed=True)
one_photograph.shown_words(words, "said")

# %% [markdown]
# And as the score alone would have it:

# %%
one_photograph.shown_words(words, "alone")

# %% [markdown]
# ## What *unsure* saves
#
# A picture is scored again after compression, at another size and cut elsewhere. Where one form
# gives evidence and another gives none, the picture is *unsure*; where all give evidence, the least
# counts. Is that worth its ninefold price? Selective predictors are compared at equal coverage: the
# first sentence of this page has the score alone, silent on as many images.

# %%
display(Markdown(one_photograph.what_unsure_saves(counted)))

# %% [markdown]
# ## On sources that made none of the words
#
# Pictures from elsewhere: the official images of [the study](10_photographs), whose sources chose
# neither the detector nor its words, and whose labels were read after all of that was sealed. By
# the score alone. *Wrong* is any evidence against a photograph, and none against a generated image.

# %%
predictions = published_study(reference_folder("photographs"), "detectors").predictions
shipped = predictions[predictions["variant"] == one_photograph.SHIPPED]
local, official = (shipped[shipped["condition"] == on] for on in ("local", "official"))
levels = levels_by_source(official, reference_of(local))
sources = tables.keep("sources", one_photograph.by_source(levels), fixed=True)
display(Markdown(one_photograph.sources_in_a_sentence(sources)))
one_photograph.shown_sources(sources)

# %% [markdown]
# ## How a report is read
#
# From the top, and in this order:
#
# 1. **Before you read on**: what holds for every score of this detector. The shipped one was
#    trained on small images of few sources.
# 2. **The word**, and how often it is said of validation photographs and of generated images. A
#    word that is said of many photographs too says little.
# 3. **Does it stand?** Each form of the picture with its score and word. One form that contradicts
#    is named; many that waver say that the picture lies at the border.
# 4. **The map**: where covering a field lowers the score, in red, or raises it, in blue. It shows
#    what the score hangs on, not what was generated, and what is read of a picture as a whole it
#    does not show.
# 5. **The blocks** of the encoder that say so, which is for whoever studies the detector.
# 6. **What the file says of itself**: camera, programs, generators, Content Credentials. It counts
#    for nothing in the word, since all but a signature can be written by anybody. A generator that
#    signs its work says more than any score.
# 7. **Limits that apply here**: how much of the picture was seen, and whether it was enlarged.
#
# ## What a report cannot say
#
# - *That a picture is a photograph.* No evidence of a generated image is what a generator that the
#   detector never saw would get too.
# - *How probable it is that a picture is generated.* That hangs on how many of such pictures are.
# - *Which part* was generated or edited, by whom, with what, or whether what is shown took place.
# - *Anything about illustrations*: no drawing by a person was among the training images, and many
#   generated ones were.
# - *Anything against somebody who wants to be missed.* No attack was tried.
#
# A detector that is [tried on one's own images](reproducing) with `layerfusion calibrate` reads its
# words against these, and they then mean what they say there.
#
# ## What it takes
#
# `layerfusion inspect` as a person types it, each row a process of its own. Nearly all of it is the
# encoder: a picture is scored in up to nine forms, and once for each of the map's 49 fields. Where
# the load average is above the number of cores other work ran beside it: *seconds* are then longer
# than they are alone, and *processor seconds* are what to go by.

# %%
taken = read_result(one_photograph.TIMES)
display(Markdown(f"Measured {in_a_line(taken)}. {one_photograph.a_further_picture(taken)}"))
tables.keep("times", one_photograph.time_table(taken), fixed=True)
