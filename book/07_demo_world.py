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
# # The demo world
#
# :::{admonition} In short
# :class: in-short
# **Question.** What is the demo world, and what can a detector learn in it?
#
# **Answer.** Real pictures come from simulated cameras, synthetic ones from small trained
# generators, and both pass through simulated platforms. Linear probes separate them with
# {term}`ROC AUC` {glue:text}`all_blocks` from all blocks of the encoder and {glue:text}`last_block`
# from the last one: a difference of {glue:text}`gain`, which is the idea of the paper. But here a
# spectrum of {glue:text}`radii` numbers {glue:text}`spectrum_verdict` the trained detector
# ({glue:text}`spectrum` against {glue:text}`detector`), and file
# metadata alone {glue:text}`metadata_verdict` it ({glue:text}`metadata`).
#
# **Holds for** this world alone. It was made so that every page can be executed without
# photographs, CLIP's weights or a GPU; no number of it is about photographs.
# :::

# %% tags=["parameters", "hide-input"]
profile = "demo"
seed = 1337
data_root = None
fresh = False
settings = {}

# %% tags=["hide-input"]
import pandas as pd
from myst_nb import glue

from layerfusion.analysis.probes import class_tokens, linear_probe, probe_blocks
from layerfusion.analysis.recorded import tolerances
from layerfusion.analysis.shortcuts import radial_spectra, report_shortcut, shortcut_baselines
from layerfusion.data.sources.world import contents
from layerfusion.experiments.processors import read_processors, shown_processors
from layerfusion.experiments.record import published_study
from layerfusion.metrics.classes import class_names
from layerfusion.model.detector import Detector
from layerfusion.pages.chapters.kept_tables import ChapterTables
from layerfusion.pages.chapters.parameters import open_chapter
from layerfusion.pages.chapters.prose import glue_texts, source_of
from layerfusion.pages.figures import effects, sheets, style
from layerfusion.pages.figures import probes as probe_figures
from layerfusion.pages.figures.formatting import interval_cells, with_interval
from layerfusion.pages.figures.run import draw_processors
from layerfusion.paths import reference_folder
from layerfusion.provenance import processor_name

experiment = open_chapter("open", globals())
tables = ChapterTables("07_demo_world", experiment)
profile, folder = experiment.profile, reference_folder("demo")
parts = (experiment.training, experiment.validation)

# %% [markdown]
# ## Why all blocks
#
# The encoder is frozen and knows nothing of real and synthetic. A linear probe, logistic
# regression, reads what the {term}`class token` holds after each {term}`block`:

# %% tags=["remove-input"]
source_of(linear_probe)

# %% tags=["hide-input"]
untrained = Detector.build(profile.encoder, profile.head, profile.images)
tokens = [class_tokens(untrained, part, profile.images, profile.loader) for part in parts]
ground_of = contents(profile.data).set_index("path")["ground"]
grounds = [part.rows["path"].map(ground_of) for part in parts]
labels = [part.rows["label"] for part in parts]

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Scores of a linear probe over the encoder's blocks: what the picture shows on the left, real or synthetic on the right, with all blocks together and chance as lines."}}
content = probe_blocks(tokens[0], grounds[0], tokens[1], grounds[1])
forensic = probe_blocks(tokens[0], labels[0], tokens[1], labels[1])
curve = probe_figures.probes_over_depth(content, forensic)
glue("probe_curve", curve, display=False)
curve

# %% tags=["nbval-ignore-output", "hide-output"] mystnb={"code_prompt_show": "Show the table of probes"}
tables.keep("content_probes", content)
tables.keep("probes", forensic)
read = {"ground in the picture": content, "real or synthetic": forensic}
cells = {name: interval_cells(table, "score") for name, table in read.items()}
pd.DataFrame(cells, index=forensic["tokens"].rename("read from"))

# %% [markdown]
# What the picture shows is read best from block {glue:text}`content_best`; at block 1 the accuracy is
# {glue:text}`content_first`, at the last one {glue:text}`content_last`. Real and synthetic separate
# best at block {glue:text}`forensic_best` ({glue:text}`forensic_score`). That one block differs from
# the last by {glue:text}`best_gain`, all blocks together by {glue:text}`gain`. The encoder's training
# rewards content; traces of a generator need not survive to its end. The paper therefore reads every
# block.
#
# ## Real pictures
#
# A scene is a few things of some colour and material on a ground, before a backdrop, in some light.
# It is rendered to linear light and photographed by a simulated camera: lens blur, vignetting, a
# Bayer mosaic, noise, demosaicing, tone curve, sharpening. The same scenes, a row for each camera:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "The same rendered scenes photographed by five simulated cameras, a row for each, alike in content and different in sharpness, noise and colour."}}
style.as_jpeg(sheets.camera_sheet())

# %% [markdown]
# Cameras differ in sharpness, noise and colour, so that no single such trait means *real*.
#
# ## Synthetic pictures
#
# A synthetic picture is a photograph that went through a generator: five small networks, trained by
# this project on such photographs, each with its own bottleneck and its own way of upsampling.
# `vq-bilinear` appears in the hidden test set alone.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "A row of photographs and below it what each of five generators makes of them: the same scenes with less fine detail."}}
style.as_jpeg(sheets.generator_sheet())

# %% [markdown]
# Content stays and fine detail changes: what a detector finds here are the traces that such networks
# leave. Nothing is painted on.
#
# ## Platforms
#
# Shared pictures are made smaller, sometimes sharpened, and compressed again. `forum` appears in the
# hidden test set alone.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "A row of photographs and below it what four simulated platforms show of them: smaller, blurred or sharpened, with JPEG blocks."}}
style.as_jpeg(sheets.platform_sheet())

# %% [markdown]
# Sharing removes part of the traces from both classes: the reason for the paper's test on JPEG and
# laundered images.
#
# ## The task
#
# Constrained training images are clean and of one generator; social ones have been shared;
# validation images are of all sizes, shared or not; the hidden test set goes further.

# %%
counts = experiment.manifest.summary()
counts["class"] = class_names(counts["label"]).astype(str)
counts.set_index(["split", "source", "class"])["images"].unstack(sort=False)

# %% [markdown]
# ## What a detector could learn instead
#
# Format, size and JPEG quality are drawn without regard to the class. The number of bytes is not:
# generators lose fine detail, and what is smoother compresses better. A {term}`shortcut feature`
# is such a trait. Two baselines look at no content at all: one reads the files' metadata, one the
# radial spectrum, how much detail there is at each scale.

# %% tags=["hide-input"]
baselines = shortcut_baselines(*parts[:1], profile.images, profile.loader, validation=parts[1])
predicted = experiment.obtain(fresh=fresh).predictions()
ours = report_shortcut("open run", "pixels", predicted["label"], predicted["logit"])
shortcuts = pd.concat([baselines, pd.DataFrame([ours])], ignore_index=True)

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "ROC AUC of each shortcut baseline and of the open run's detector with intervals; dotted: chance."}}
probe_figures.shortcuts_beside(tables.keep("shortcuts", shortcuts))

# %% tags=["nbval-ignore-output", "hide-output"] mystnb={"code_prompt_show": "Show the table of shortcut features"}
print("\n".join(experiment.warnings()))
probe_figures.shortcut_cells(shortcuts)

# %% tags=["remove-cell", "nbval-ignore-output"]
rows = {row["name"]: row for row in shortcuts.to_dict("records")}
spectrum, metadata, detector = (rows[n] for n in ("radial spectrum", "metadata", "open run"))


def beside(row):
    if row["roc_auc_low"] > detector["roc_auc_high"]:
        return "beats"
    return "falls behind" if row["roc_auc_high"] < detector["roc_auc_low"] else "is level with"


one, (first, last) = forensic.dropna(subset="block"), (content.iloc[0], content.iloc[-2])
best = one.loc[one["score"].idxmax()]
most = content.dropna(subset="block").set_index("block")["score"]
spectra = radial_spectra(experiment.validation, profile.images, profile.loader)
glue_texts(
    all_blocks=with_interval(forensic.iloc[-1], "score"),
    last_block=with_interval(one.iloc[-1], "score"),
    gain=with_interval(forensic.iloc[-1], "gain", "+.3f"),
    forensic_best=str(best["block"]),
    forensic_score=with_interval(best, "score"),
    best_gain=with_interval(best, "gain", "+.3f"),
    content_best=str(most.idxmax()),
    content_most=f"{most.max():.3f}",
    content_first=f"{first['score']:.3f}",
    content_last=f"{last['score']:.3f}",
    radii=str(spectra.shape[1]),
    spectrum=with_interval(spectrum, "roc_auc"),
    metadata=with_interval(metadata, "roc_auc"),
    detector=with_interval(detector, "roc_auc"),
    spectrum_verdict=beside(spectrum),
    metadata_verdict=beside(metadata),
)

# %% [markdown]
# The spectrum alone {glue:text}`spectrum_verdict` the detector of the open run:
# {glue:text}`spectrum` against {glue:text}`detector`. Metadata alone {glue:text}`metadata_verdict`
# it, with {glue:text}`metadata`. A detector that reads pictures well is therefore not yet one that
# understands them, and a good score in this world shows no more than that traces can be found.
# The spectra say where:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Mean radial spectra of real and synthetic pictures, and their difference with its interval, over the frequency."}}
probe_figures.radial_spectra(experiment.validation, spectra)

# %% [markdown]
# The right panel is the trace: the power of synthetic pictures at each scale, less that of real ones.
#
# ## The encoder
#
# `clip-nano` is an OpenCLIP model of {glue:text}`depth` blocks, trained by `tools/train_encoder.py`
# with the contrastive loss on scenes and their captions. It has seen no synthetic picture. Its
# accuracy on held-out scenes without further training:

# %% tags=["nbval-ignore-output", "hide-output"] mystnb={"code_prompt_show": "Show what the encoder understands"}
clip = tables.keep("clip", pd.read_csv(folder / "clip-nano.csv"), fixed=True)
names = {"top1": "accuracy", "chance": "commonest class"}
clip.set_index("task").round(3).rename(columns=names)

# %% tags=["remove-cell"]
understood = clip.set_index("task")
glue_texts(
    depth=str(len(one)),
    ground=f"{understood.loc['ground', 'top1']:.2f}",
    shape=f"{understood.loc['shape', 'top1']:.2f}",
    shape_chance=f"{understood.loc['shape', 'chance']:.2f}",
)

# %% [markdown]
# It knows grounds ({glue:text}`ground`), backdrops and colours; it has not learned shapes
# ({glue:text}`shape`, where the commonest one gives {glue:text}`shape_chance`).
#
# ## The paper's claims, in this world
#
# `layerfusion study claims` trains both runs over several seeds, with all blocks and with the last
# alone. Each effect is positive where its claim holds; intervals are over other seeds and other
# images, since each class has one source. Parameters of world and demo were frozen before the study
# ran.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Effects of the paper's claims in the demo world with their intervals, and the paper's own effects as crosses."}}
study = published_study(folder, "claims")
claims = tables.keep("claims", effects.claims_table(study), fixed=True)
effects.draw_claims(claims)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of claims"}
print(study.record.command)
cells = claims.assign(paper=claims["paper"].map("{:+.3f}".format).replace("+nan", ""))
cells["in this world"] = interval_cells(claims, "effect", "+.3f")
cells.set_index("claim")[["paper", "in this world", "verdict", "corrected"]]

# %% tags=["remove-cell"]
by_claim = claims.set_index("claim")
kinds = claims["verdict"].value_counts()
minutes = study.record.seconds["total"] / 60
glue_texts(
    claims=str(len(claims)),
    verdicts=", ".join(f"“{name}” {number} times" for name, number in kinds.items()),
    **{
        f"fusion_{run}": with_interval(
            by_claim.loc[f"fusion of all blocks above the last alone, local AUC, {run} run"],
            "effect",
            "+.3f",
        )
        for run in ("constrained", "open")
    },
    cost=f"{len(study.record.cells)} runs, {minutes:.0f} minutes",
    processor=processor_name(study.record.provenance),
)

# %% [markdown]
# Verdicts on {glue:text}`claims` claims: {glue:text}`verdicts`. Fusion of all blocks lies
# {glue:text}`fusion_constrained` above the last block in the constrained run and
# {glue:text}`fusion_open` in the open run; the probes above differ by {glue:text}`gain`.
# [On photographs](10_photographs) explains the verdicts. The study took {glue:text}`cost` on
# {glue:text}`processor`.
#
# ## On other processors
#
# Processors round differently, and training amplifies it. `layerfusion study processors` trains both
# runs with other instructions, libraries, threads, or one setting moved by its last bit, and three
# detectors that are broken on purpose:

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "First training loss, ROC AUC, F1 and threshold of both runs on simulated processors and of three broken detectors; dotted: what learning nothing gives."}}
spread = tables.keep("processors", read_processors(folder), fixed=True)
draw_processors(spread)

# %% tags=["hide-output"] mystnb={"code_prompt_show": "Show the table of processors"}
glue("processors", shown_processors(spread))

# %% tags=["remove-cell"]
allowed = tolerances(folder)
glue_texts(
    auc_allowed=f"{allowed['roc_auc']:.4f}",
    ap_allowed=f"{allowed['average_precision']:.4f}",
    loss_allowed=f"{allowed['first_training_loss']:.4f}",
)

# %% [markdown]
# ROC AUC, average precision and the first epoch's loss move little. A threshold, on a flat curve of
# F1, jumps, and all counts with it. On another kind of processor only the former are compared with
# the recorded ones; they may differ by twice the largest distance, {glue:text}`auc_allowed` in ROC
# AUC, {glue:text}`ap_allowed` in average precision and {glue:text}`loss_allowed` in the loss. These
# rows were measured with an earlier version of the program: distances between them count, not their
# level.
#
# :::{admonition} What to remember
# :class: remember
# - The demo world replaces photographs, CLIP and a GPU; its numbers are its own.
# - All blocks together differ from the last one by {glue:text}`gain` in what they know of real and
#   synthetic.
# - Shortcut baselines stand beside every detector: here a spectrum {glue:text}`spectrum_verdict` it.
# :::
#
# :::{admonition} Exercise
# :class: exercise
# A colleague trains a detector on this world, reaches the ROC AUC of the open run, and concludes that
# it recognises generated content. What is wrong with that?
# ```{dropdown} Answer
# The radial spectrum, which knows nothing of content, reaches {glue:text}`spectrum`; the detector
# reaches {glue:text}`detector`. As long as a baseline without content does as well, the score is no
# evidence of anything beyond such traces.
# ```
# :::

# %% tags=["remove-cell", "nbval-ignore-output"]
compared = tables.compare()
compared

# %% tags=["remove-cell"]
print(compared.verdict)
