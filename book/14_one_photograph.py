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
#
# :::{admonition} In short
# :class: in-short
# **Question.** A user has one picture. What does `layerfusion inspect PHOTO` answer, and how often
# is the answer right?
#
# **Answer.** It gives a level of evidence: *strong*, *moderate* or *weak evidence of a generated
# image*, *unsure*, or *no evidence*. Of {glue:text}`images` validation images, half of them
# generated, {glue:text}`unsure` are unsure; of the others {glue:text}`wrong` are wrong. On sources
# that decided nothing, {glue:text}`real_wrong` of the photographs get moderate or strong evidence,
# and {glue:text}`generated_wrong` of the generated images get none; in single sources up to
# {glue:text}`real_high` and {glue:text}`generated_high`.
#
# **Holds for** the shipped detector, which was trained on small images of few sources. No evidence
# of a generated image is no evidence of a photograph.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
from layerfusion.apps.evidence import levels as evidence
from layerfusion.apps.evidence.levels import EvidenceLevel, EvidenceScale
from layerfusion.experiments.record import published_study
from layerfusion.metrics.uncertainty import Interval, share_interval
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import checked_parameters
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import one_photograph
from layerfusion.pages.figures.benchmarks import in_a_line, read_result
from layerfusion.pages.figures.formatting import share_text
from layerfusion.paths import reference_folder

tables = ChapterTables("14_one_photograph", checked_parameters(globals()))
counted = read_result(one_photograph.WORDS)

# %% [markdown]
# ## How often a level is right
#
# The score of a picture is compared with the scores of the detector's validation images. The level
# says how few photographs score as high:

# %% tags=["remove-input"]
source_of(EvidenceScale.level)

# %%
words = tables.keep("words", one_photograph.words_table(counted), fixed=True)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Counts of photographs and generated images at each level of evidence: strong and moderate evidence is given almost only to generated images; with other forms of the picture more images are unsure."}}
one_photograph.draw_words(words)

# %% [markdown]
# The figure counts {glue:text}`each` photographs and {glue:text}`each` generated images, drawn from
# the validation images with seed {glue:text}`drawn_seed`. Strong evidence is given to {glue:text}`strong_generated` generated
# images and to {glue:text}`strong_real` photographs. *No evidence* is given to
# {glue:text}`none_generated` generated images as well.

# %%
one_photograph.shown_words(words, "said")

# %% [markdown]
# *Right* is the share of images with this level that are of the class it speaks for: generated
# where there is evidence, photographs where there is none. Where fewer than half of the images are
# generated, evidence is right less often. **These very images made the levels**, and chose the
# detector's checkpoint and threshold; intervals (95 %) are over other images of the same sources.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of the score alone"}
one_photograph.shown_words(words, "alone")

# %% [markdown]
# ### What *unsure* saves
#
# A picture is scored again after compression, at another size and cut elsewhere. Where one form
# gives evidence and another none, the picture is *unsure*; otherwise the least evidence counts. Here
# an image is wrong if a photograph gets evidence of any strength, or a generated image
# none. The other forms take back {glue:text}`withdrawn` verdicts, of which {glue:text}`saved` were
# wrong ({glue:text}`saved_share`, where of all verdicts {glue:text}`wrong_alone` were). The price
# is {glue:text}`lost` right ones and nine times the work; {glue:text}`stay` wrong ones stay.
#
# Selective predictors are to be compared at equal coverage. If the score alone leaves out as many
# images, those nearest to its threshold, {glue:text}`wrong_equal` of the others are wrong. On so few
# images the two cannot be told apart.
#
# ## On sources that decided nothing
#
# A user's picture comes from elsewhere. The official images of [the study](10_photographs) are of
# sources that chose neither the detector nor its levels, and their labels were read after all of
# that was sealed. A photograph counts as wrong if it gets moderate or strong evidence of being
# generated, a generated image if it gets none; by the score alone.

# %%
predictions = published_study(reference_folder("photographs"), "detectors").predictions
shipped = predictions[predictions["variant"] == one_photograph.SHIPPED]
local, official = (shipped[shipped["condition"] == on] for on in ("local", "official"))
levels = evidence.levels_by_source(official, evidence.reference_of(local))
sources = tables.keep("sources", one_photograph.by_source(levels), fixed=True)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Share of wrong images by source, with intervals: photographs of some sources in a third of cases, of others never; most generators are hardly ever missed."}}
one_photograph.draw_sources(sources)

# %% [markdown]
# Of validation photographs at most {glue:text}`rule` reach moderate evidence, by the rule of the
# levels (dotted). Here {glue:text}`real_wrong` do, and by source {glue:text}`real_low` to
# {glue:text}`real_high`. Of generated images {glue:text}`generated_wrong` get no evidence, by source
# {glue:text}`generated_low` to {glue:text}`generated_high`. Which source a picture is like, its user
# seldom knows.

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of sources"}
one_photograph.shown_sources(sources)

# %% [markdown]
# ## A report
#
# ```bash
# layerfusion inspect PICTURE --report report.html
# ```
#
# The report below is a real one, but **of the demo detector** (`--detector
# runs/reference/demo/open-seed1337/detector`, which needs no weights), on a generated picture of the
# [demo world](07_demo_world). Its scores mean nothing for photographs.

# %% tags=["nbval-ignore-output"]
report = one_photograph.demo_report()
one_photograph.framed(report, "Report of the demo detector on a picture of the demo world")

# %% [markdown]
# From the top:
#
# 1. **The notice** holds for every score of this detector.
# 2. **The level**: one that many validation photographs have too says little.
# 3. **The map** shows which fields the score depends on, not what was generated.
# 4. **Is it stable?** One form that contradicts is named; many that waver say that the picture lies
#    at the border.
# 5. **The blocks** are for those who study the detector.
# 6. **The metadata** does not count for the level, since all but a signature can be written by
#    anybody. A generator that signs its work is stronger evidence than any score.
# 7. **Limits that apply here**: how much of the picture was seen, and whether it was enlarged.
#
# ## What a report cannot say
#
# - *That a picture is a photograph.* A generator that the detector never saw would get no evidence
#   too.
# - *How probable it is that a picture is generated.* That depends on how many of such pictures are
#   ([Choosing a threshold](11_thresholds)).
# - *Which part* was generated or edited, by whom, with what, or whether what is shown took place.
# - *Anything about illustrations*: no drawing by a person was among the training images, and many
#   generated ones were.
# - *Anything against a user who wants to be missed.* No attack was tried.
#
# A detector that is [calibrated on one's own images](own_images) with `layerfusion calibrate` reads
# its levels from these, and they then mean what they mean there. `layerfusion serve` gives the same
# reports on a local page.
#
# ## Compute cost

# %%
taken = read_result(one_photograph.TIMES)
tables.keep("times", one_photograph.time_table(taken), fixed=True)

# %% [markdown]
# Each row is a process of its own ({glue:text}`taken`; the levels were counted
# {glue:text}`measured`). A further picture takes {glue:text}`picture_seconds` seconds of one core, in
# up to nine forms, and the 49 fields of its map {glue:text}`map_seconds` more; the rest is reading
# of libraries and weights. Where other work ran beside it, go by *processor seconds*.

# %% tags=["remove-cell"]
alone, said = (counted["decided"][how] for how in ("alone", "said"))
withdrawn, saved = alone["decided"] - said["decided"], alone["wrong"] - said["wrong"]
levels_said = counted["words"]["said"]
strong, none = (levels_said[level.text] for level in (EvidenceLevel.STRONG, EvidenceLevel.NONE))
each = counted["per_class"]
by_class = sources["wrong"].groupby("class")
least, most = by_class.min(), by_class.max()
totals = sources.assign(wrong=sources["wrong"] * sources["images"]).groupby("class").sum()
overall = totals["wrong"] / totals["images"]
picture_seconds, map_seconds = one_photograph.further_seconds(taken)
bound = share_interval(strong["photographs"], each).high
ratio = strong["generated"] / each / bound
glue_texts(
    images=str(2 * each),
    each=str(each),
    drawn_seed=str(counted["seed"]),
    measured=in_a_line(counted),
    taken=in_a_line(taken),
    unsure=str(said["unsure"]),
    wrong=share_text(Interval(*said["share_wrong"])),
    wrong_alone=share_text(Interval(*alone["share_wrong"])),
    wrong_equal=share_text(one_photograph.at_equal_coverage(counted)),
    withdrawn=str(withdrawn),
    saved=str(saved),
    saved_share=share_text(share_interval(saved, withdrawn)),
    lost=str(withdrawn - saved),
    stay=str(said["wrong"]),
    strong_generated=str(strong["generated"]),
    strong_real=str(strong["photographs"]),
    none_generated=str(none["generated"]),
    rule=f"{evidence.PHOTOGRAPHS[EvidenceLevel.MODERATE]:.0%}",
    real_wrong=f"{overall['real']:.0%}",
    real_low=f"{least['real']:.0%}",
    real_high=f"{most['real']:.0%}",
    generated_wrong=f"{overall['synthetic']:.0%}",
    generated_low=f"{least['synthetic']:.0%}",
    generated_high=f"{most['synthetic']:.0%}",
    picture_seconds=f"{picture_seconds:.1f}",
    map_seconds=f"{map_seconds:.1f}",
    strong_share=f"{strong['generated'] / each:.0%}",
    strong_bound=f"{bound:.0%}",
    ratio=f"{ratio:.1f}",
    posterior=f"{ratio / (ratio + 99):.0%}",
)

# %% [markdown]
# :::{admonition} What to remember
# :class: remember
# - A level of evidence is a statement about validation images; on other sources it errs several
#   times as often, or never.
# - *Unsure* is an answer: it takes back verdicts that other forms of the picture contradict.
# - No report proves that a picture is a photograph, or how probable it is that it is generated.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# Strong evidence was given to {glue:text}`strong_generated` of {glue:text}`each` generated images and
# to {glue:text}`strong_real` of {glue:text}`each` photographs. One picture in a hundred of those that
# come in is generated. How probable is it that a picture with strong evidence is?
# ```{dropdown} Answer
# None among {glue:text}`each` does not mean 0 %: the 95 % interval ends at
# {glue:text}`strong_bound`. The likelihood ratio is therefore only known to be at least
# {glue:text}`strong_share` / {glue:text}`strong_bound` = {glue:text}`ratio`. The prior odds are 1 to
# 99, so the probability is at least about {glue:text}`posterior`; these data support no larger
# number.
# ```
# :::
