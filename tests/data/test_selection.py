"""Which images a run trains on: quotas kept, draws reproduced, nothing left to the rows' order."""

import hashlib
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from layerfusion.data.manifest import FILE_DTYPES
from layerfusion.data.selection import select_training
from layerfusion.errors import UserError
from layerfusion.settings import QuotaSettings, SelectionSettings, load_profile

FAMILIES = ("FLUX.1", "StyleGAN1")
SHARED_ON = ("Facebook", "Telegram")


def rows_of(coco=9, corvi=12, truefake=6, real=8):
    """Rows of a small tree; `truefake` images of each platform, PreSocial too, and family."""
    files = [(f"train2017/{n:03d}.jpg", 0, "coco", None, None) for n in range(coco)]
    files += [(f"corvi/{n % 2}/{n:03d}.png", 1, "corvi", "ldm", None) for n in range(corvi)]
    for platform in ("PreSocial", *SHARED_ON):
        for family in FAMILIES:
            folder = f"TrueFake/{platform}/Fake/{family}"
            files += [
                (f"{folder}/{n}.jpg", 1, "truefake", family, platform) for n in range(truefake)
            ]
        folder = f"TrueFake/{platform}/Real/FFHQ"
        files += [(f"{folder}/{n}.jpg", 0, "truefake", None, platform) for n in range(real)]
    columns = ["path", "label", "source", "generator", "platform"]
    table = pd.DataFrame(files, columns=columns).assign(split="train")
    return table[list(FILE_DTYPES)].astype(FILE_DTYPES)


def of(run, rows):
    sources = ["coco", "corvi"] + (["truefake"] if run == "open" else [])
    return rows[rows["source"].isin(sources)].reset_index(drop=True)


def quotas(coco=4, corvi=5, fake=3, real=10):
    social = {"source": "truefake", "platforms": SHARED_ON}
    return SelectionSettings(
        name="shared",
        quotas=(
            {"source": "coco", "label": "real", "images": coco},
            {"source": "corvi", "label": "synthetic", "images": corvi},
            social | {"label": "real", "images": real},
            social | {"label": "synthetic", "images": fake, "each": ("platform", "generator")},
        ),
    )


def chosen(rows, settings, run):
    return select_training(of(run, rows), settings, run).rows


def paths(rows, source=None, label=None):
    if source is not None:
        rows = rows[rows["source"] == source]
    if label is not None:
        rows = rows[rows["label"] == label]
    return set(rows["path"])


def test_all_takes_every_row_and_looks_at_no_quota():
    settings = quotas().model_copy(update={"name": "all"})
    selection = select_training(rows_of(), settings, "open")
    pd.testing.assert_frame_equal(selection.rows, rows_of())
    assert selection.shortfalls == []


@pytest.mark.parametrize("name", ["shared", "author"])
def test_quotas_are_filled_from_named_platforms_alone(name):
    settings = quotas().model_copy(update={"name": name})
    selection = select_training(rows_of(), settings, "open")
    rows = selection.rows
    assert Counter(rows["source"]) == {"coco": 4, "corvi": 5, "truefake": 2 * 2 * 3 + 10}
    social = rows[rows["source"] == "truefake"]
    assert set(social["platform"]) == set(SHARED_ON)
    fakes = social[social["label"] == 1]
    assert set(Counter(zip(fakes["platform"], fakes["generator"], strict=True)).values()) == {3}
    assert rows["path"].is_unique and selection.shortfalls == []
    assert rows["path"].tolist() == [path for path in rows_of()["path"] if path in paths(rows)]


def test_shared_runs_have_the_same_images_of_a_source_and_author_s_runs_do_not():
    rows, settings = rows_of(coco=200, corvi=200), quotas(coco=100, corvi=100)
    constrained, opened = (chosen(rows, settings, run) for run in ("constrained", "open"))
    assert paths(opened) - paths(opened, "truefake") == paths(constrained)
    settings = settings.model_copy(update={"name": "author"})
    authors, opened = (chosen(rows, settings, run) for run in ("constrained", "open"))
    assert paths(authors) == paths(constrained)
    assert 0 < len(paths(opened, "coco") & paths(authors, "coco")) < 100


def test_author_draws_as_the_fact_sheet_describes():
    """The description, computed here once more: pandas for one run, `random` for the other."""
    rows = rows_of(coco=40, corvi=30, truefake=20, real=30)
    settings = quotas(coco=11, corvi=7, fake=4, real=23).model_copy(update={"name": "author"})
    constrained, opened = (chosen(rows, settings, run) for run in ("constrained", "open"))

    for source, count in (("coco", 11), ("corvi", 7)):
        index = pd.DataFrame({"file": sorted(paths(rows, source))})
        sample = index.sample(count, random_state=1337)
        assert paths(constrained, source) == set(sample["file"])
        drawn = random.Random(1337).sample(sorted(paths(rows, source)), count)
        assert paths(opened, source) == set(drawn)

    generator, fakes = random.Random(1337), []
    for platform in SHARED_ON:
        for family in FAMILIES:
            folder = f"TrueFake/{platform}/Fake/{family}/"
            files = sorted(path for path in rows["path"] if path.startswith(folder))
            fakes += generator.sample(files, 4)
    assert paths(opened, "truefake", 1) == set(fakes)
    shared = [path for path in paths(rows, "truefake", 0) if "PreSocial" not in path]
    assert paths(opened, "truefake", 0) == set(random.Random(1337).sample(sorted(shared), 23))


NAMES = st.sampled_from(["shared", "author"])
RUNS = st.sampled_from(["constrained", "open"])


@hypothesis_settings(deadline=None, max_examples=25)
@given(name=NAMES, run=RUNS, order=st.randoms(use_true_random=False), seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(name, run, order, seed):
    settings = quotas().model_copy(update={"name": name, "seed": seed})
    rows = rows_of()
    positions = list(range(len(rows)))
    order.shuffle(positions)
    first = select_training(of(run, rows), settings, run)
    again = select_training(of(run, rows.iloc[positions]), settings, run)
    assert first.text() == again.text() and first.sha256() == again.sha256()


@hypothesis_settings(deadline=None, max_examples=25)
@given(
    fewer=st.tuples(*[st.integers(1, 12)] * 4),
    more=st.tuples(*[st.integers(0, 12)] * 4),
    seed=st.integers(0, 99),
)
def test_shared_subsets_nest(fewer, more, seed):
    """What a smaller quota chooses is part of what a larger one does, for every quota at once."""
    larger = [low + high for low, high in zip(fewer, more, strict=True)]
    few, many = (
        chosen(rows_of(), quotas(*counts).model_copy(update={"seed": seed}), "open")
        for counts in (fewer, larger)
    )
    assert paths(few) <= paths(many)


@hypothesis_settings(deadline=None, max_examples=25)
@given(name=NAMES, counts=st.tuples(*[st.integers(1, 30)] * 4), run=RUNS)
def test_quotas_are_never_exceeded_and_never_underfilled(name, counts, run):
    coco, corvi, fake, real = counts
    rows = chosen(rows_of(), quotas(*counts).model_copy(update={"name": name}), run)
    assert len(paths(rows, "coco")) == min(coco, 9)
    assert len(paths(rows, "corvi")) == min(corvi, 12)
    social = int(run == "open")
    assert len(paths(rows, "truefake", 0)) == social * min(real, 16)
    assert len(paths(rows, "truefake", 1)) == social * 4 * min(fake, 6)


def test_too_few_images_are_all_used_and_said_in_a_sentence():
    selection = select_training(rows_of(), quotas(coco=75_000, real=17), "open")
    assert len(paths(selection.rows, "coco")) == 9
    coco, real = selection.shortfalls
    assert coco == "source 'coco' has 9 of the 75,000 real images that the selection asks for"
    assert "16 of the 17 real images" in real


def test_a_missing_family_is_missed():
    *others, fake = quotas(fake=4).quotas
    expected = fake.model_copy(update={"generators": ("FLUX.1", "StyleGAN1", "StyleGAN2")})
    settings = SelectionSettings(name="shared", quotas=(*others, expected))
    selection = select_training(rows_of(), settings, "open")
    (shortfall,) = selection.shortfalls
    assert "16 of the 24 synthetic images" in shortfall
    assert "(of 4 each: Facebook StyleGAN2 0, Telegram StyleGAN2 0)" in shortfall


def test_a_source_without_quota_is_used_whole_and_one_that_is_not_there_is_not_missed():
    rows = rows_of().assign(source=lambda rows: rows["source"].replace("corvi", "own"))
    selection = select_training(of("constrained", rows), quotas(), "constrained")
    assert set(selection.rows["source"]) == {"coco"}
    selection = select_training(rows, quotas(), "open")
    assert len(paths(selection.rows, "own")) == 12


def test_unlabelled_images_and_other_classes_of_a_source_with_quota_are_not_used():
    rows = rows_of()
    rows.loc[0, "label"] = None
    rows.loc[1, "label"] = 1
    selection = select_training(rows, quotas(coco=100), "open")
    assert len(paths(selection.rows, "coco")) == 7


def test_each_generator_alone():
    quota = QuotaSettings(source="truefake", label="synthetic", images=2, each=("generator",))
    settings = SelectionSettings(name="shared", quotas=(quota,))
    rows = chosen(rows_of(), settings, "open")
    assert Counter(rows["generator"].dropna()) == {"ldm": 12, "FLUX.1": 2, "StyleGAN1": 2}


def test_the_list_is_sorted_and_its_sha256_is_that_of_the_file(tmp_path):
    selection = select_training(rows_of(), quotas(), "open")
    selection.save(tmp_path / "selection.txt")
    content = (tmp_path / "selection.txt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == selection.sha256()
    lines = content.decode().splitlines()
    assert lines == sorted(selection.rows["path"]) and content.endswith(b"\n")
    assert [path.name for path in tmp_path.iterdir()] == ["selection.txt"]


def test_the_paper_s_numbers():
    """Quotas of the profile add up to what section 3 says: 75,000 each, 60,000 each."""
    selection = load_profile("paper").data.selection
    assert (selection.name, selection.seed) == ("shared", 1337)
    totals = {}
    for quota in selection.quotas:
        sides = {"platform": quota.platforms, "generator": quota.generators}
        combinations = np.prod([len(sides[column]) for column in quota.each], dtype=int)
        totals[quota.source, quota.label] = quota.images * combinations
        assert quota.source != "truefake" or "PreSocial" not in quota.platforms
    assert totals == {
        ("coco", "real"): 75_000,
        ("corvi", "synthetic"): 75_000,
        ("truefake", "real"): 60_000,
        ("truefake", "synthetic"): 60_000,
    }
    for name in ("demo", "folder"):  # which choose nothing
        assert load_profile(name).data.selection == SelectionSettings()


def test_seeds_of_both_generators_are_the_setting_s():
    generator = np.random.RandomState(5)
    rows, settings = rows_of(coco=50), quotas(coco=10).model_copy(update={"seed": 5})
    expected = [sorted(paths(rows, "coco"))[i] for i in generator.permutation(50)[:10]]
    assert paths(chosen(rows, settings, "open"), "coco") == set(expected)


@pytest.mark.parametrize(
    ("labels", "words"), [(["real", "real"], "two quotas are for"), (["fake"], "quotas.0.label")]
)
def test_wrong_quotas_are_named(labels, words):
    quotas = [{"source": "a", "label": label, "images": 1} for label in labels]
    with pytest.raises(UserError, match=words):
        load_profile("demo", {"data.selection.quotas": quotas})
