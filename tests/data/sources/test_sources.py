"""The publishers' data sets: every image of an archive becomes the row that it should."""

from pathlib import PurePosixPath

import pandas as pd
import pytest

from layerfusion.data.manifest import FILE_DTYPES
from layerfusion.data.opening import find_files, open_data
from layerfusion.data.sources.published import PUBLISHED
from layerfusion.errors import UserError
from layerfusion.paths import project_root
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import DataSettings, load_profile
from trees import AUTHORS, FAMILIES, KINDS, PUBLISHERS, plant


def find(kind, root, **settings):
    (source,) = DataSettings(sources=[{"kind": kind} | settings]).sources
    return find_files(source, root)


def rows(found):
    """Each path's label, split, source, generator and platform; None where missing."""
    table = found.files.astype(object).where(found.files.notna(), None)
    return {path: tuple(rest) for path, *rest in table.itertuples(index=False)}


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "how",
    [{}, {"author": True}, {"nested": True}, {"upper_case": True, "macosx": True}],
    ids=["published", "author", "nested", "upper case"],
)
def test_every_image_of_an_archive_is_found_with_its_label(tmp_path, kind, how):
    truth = plant(tmp_path, kinds=(kind,), images=1, **how)[kind]
    found = find(kind, tmp_path)
    assert {name: str(dtype) for name, dtype in found.files.dtypes.items()} == FILE_DTYPES
    assert found.passed_over == ()
    labels = {path: label for path, (label, *_) in rows(found).items()}
    known = dict.fromkeys(truth) if kind == "mediaeval_test" else truth
    assert labels == known
    # The other sources leave these images alone.
    for other in set(KINDS) - {kind}:
        assert rows(find(other, tmp_path)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_may_lie_in_another_folder_and_is_not_looked_for_elsewhere(tmp_path, kind):
    truth = plant(tmp_path / "disks" / "two", kinds=(kind,), images=1)[kind]
    folder = "/".join(filter(None, ("disks/two", PUBLISHERS[kind])))
    found = find(kind, tmp_path, folder=folder)
    assert set(rows(found)) == {f"disks/two/{path}" for path in truth}
    plant(tmp_path, kinds=(kind,), images=1)
    assert len(find(kind, tmp_path, folder="elsewhere").files) == 0


def test_folders_are_found_in_any_case_and_through_links(tmp_path):
    plant(tmp_path / "store", kinds=("truefake",), images=1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "TRUEFAKE").symlink_to(tmp_path / "store" / "TrueFake")
    found = rows(find("truefake", tmp_path / "data"))
    assert len(found) == 40 and min(found).startswith("TRUEFAKE/Facebook/")


def test_coco_is_real_and_takes_nothing_of_other_years(tmp_path):
    touch(tmp_path, "coco/train2017/1.jpg", "coco/val2017/2.jpg", "coco/train2017/3.png")
    found = find("coco", tmp_path)
    assert rows(found) == {"coco/train2017/1.jpg": (0, "train", "coco", None, None)}
    assert found.passed_over == ("coco/train2017/3.png", "coco/val2017/2.jpg")


def test_corvis_train_and_valid_stay_apart_and_its_lists_are_no_files(tmp_path):
    plant(tmp_path, kinds=("corvi",), images=1)
    found = find("corvi", tmp_path)
    path = "latent_diffusion_trainingset/valid/latent_diffusion_text2img_set0/img000000.png"
    generator = "valid/latent_diffusion_text2img_set0"
    assert rows(found)[path] == (1, "train", "corvi", generator, None)
    assert found.files["generator"].str.partition("/")[0].value_counts().to_dict() == {
        "train": 7,
        "valid": 7,
    }
    (note,) = found.notes  # two lists in each folder, three names in each
    assert "12 names in 4 files" in note and "no file of them is missing" in note


def test_wangs_validation_images_are_held_out(tmp_path):
    plant(tmp_path, kinds=("wang",), images=1)
    found = rows(find("wang", tmp_path))
    assert found["progan_train/airplane/1_fake/00000.png"] == (1, "train", "wang", "ProGAN", None)
    assert found["progan_val/horse/0_real/00000.png"] == (0, "heldout", "wang", None, None)


@pytest.mark.parametrize("subfolders", [True, False])
def test_truefakes_generators_and_platforms(tmp_path, subfolders):
    plant(tmp_path, kinds=("truefake",), images=1, subfolders=subfolders)
    found = find("truefake", tmp_path)
    files = found.files
    social = files[files["source"] == "truefake"]
    fakes = social[social["label"] == 1]
    counts = fakes.groupby(["platform", "generator"]).size()
    expected = [(p, g) for p in ("Facebook", "Telegram", "Twitter") for g in sorted(FAMILIES)]
    assert counts.index.tolist() == expected and (counts == 1).all()
    assert social.loc[social["label"] == 0, "generator"].isna().all()
    before = files[files["source"] == "truefake_presocial"]
    assert len(before) == 10 and before["platform"].isna().all()
    assert before["path"].str.contains("/PreSocial/").all()
    assert not social["path"].str.contains("/PreSocial/").any()
    assert "10 images of PreSocial" in found.notes[0]


def test_truefakes_names_are_put_into_the_published_case(tmp_path):
    touch(tmp_path, *(f"TrueFake/TWITTER/{name}" for name in ("fake/flux.1/a.jpg", "REAL/b.jpg")))
    touch(tmp_path, "TrueFake/TWITTER/fake/c.jpg")
    found = find("truefake", tmp_path)
    assert rows(found) == {
        "TrueFake/TWITTER/fake/flux.1/a.jpg": (1, "train", "truefake", "FLUX.1", "Twitter"),
        "TrueFake/TWITTER/REAL/b.jpg": (0, "train", "truefake", None, "Twitter"),
    }
    assert found.passed_over == ("TrueFake/TWITTER/fake/c.jpg",)


@pytest.mark.parametrize("author", [True, False])
@pytest.mark.parametrize(("metadata", "of_x_618"), [(True, "LinkedIn"), (False, "X")])
def test_platforms_of_validation_images(tmp_path, metadata, of_x_618, author):
    plant(tmp_path, kinds=("itw_sm",), images=1, metadata=metadata, author=author)
    found = find("itw_sm", tmp_path)
    itw = {path.partition("ITW-SM/")[2]: row for path, row in rows(found).items()}
    assert itw["1_fake/x_618.jpg"] == (1, "val", "itw_sm", None, of_x_618)
    assert itw["0_real/LinkedIn_real_1000.jpg"][-1] == "LinkedIn"
    assert any("no metadata.csv" in note for note in found.notes) == (not metadata)


def test_metadata_may_name_paths_and_lack_images(tmp_path):
    touch(tmp_path, *(f"ITW-SM/0_real/{name}.jpg" for name in ("IMG_0001", "a", "x_b")))
    text = "file_name,label,target,platform\n0_real/a.jpg,real,0,FACEBOOK\ngone.jpg,real,0,x\n"
    (tmp_path / "ITW-SM/metadata.csv").write_text(text)
    platforms = [row[-1] for row in rows(find("itw_sm", tmp_path)).values()]
    assert platforms == [None, "Facebook", "X"]  # which the first name does not begin with


def test_useless_metadata_are_named(tmp_path):
    touch(tmp_path, "ITW-SM/0_real/a.jpg")
    (tmp_path / "ITW-SM/metadata.csv").write_text("name,where\na.jpg,X\n")
    with pytest.raises(UserError, match=r"metadata\.csv cannot be read as the metadata"):
        find("itw_sm", tmp_path)


def test_synthbuster_is_held_out_and_of_nine_generators(tmp_path):
    plant(tmp_path, kinds=("synthbuster",), images=1)
    files = find("synthbuster", tmp_path).files
    assert files["generator"].nunique() == 9
    assert set(files["split"]) == {"heldout"} and set(files["label"]) == {1}
    assert files["generator"].tolist() == [PurePosixPath(path).parts[1] for path in files["path"]]


@pytest.mark.parametrize("folder", ["", "..", "../elsewhere", "/somewhere"])
def test_a_folder_stays_below_the_data_root(folder):
    with pytest.raises(UserError, match=r"data\.sources\.0\.coco\.folder"):
        load_profile("paper", {"data.sources": [{"kind": "coco", "folder": folder}]})


def test_the_paper_profile_reads_all_sets_and_keeps_splits_apart(tmp_path):
    truth = plant(tmp_path, images=1, corrupt=True, empty=True, macosx=True)
    settings = load_profile("paper").data
    assert [source.kind for source in settings.sources] == list(KINDS)
    manifest = open_data(settings, data_root=tmp_path, cache=tmp_path / "cache")
    assert sorted(manifest.skipped["reason"]) == ["empty file", "truncated file"]
    assert len(manifest.rows) == sum(map(len, truth.values())) - 2
    split = manifest.rows.groupby("source")["split"].unique().map(sorted).to_dict()
    assert split == {
        "coco": ["train"],
        "corvi": ["train"],
        "itw_sm": ["val"],
        "mediaeval_test": ["test"],
        "synthbuster": ["heldout"],
        "truefake": ["train"],
        "truefake_presocial": ["train"],
        "wang": ["heldout", "train"],
    }


def test_two_folders_with_the_same_images_are_a_mistake(tmp_path):
    plant(tmp_path, kinds=("coco",), images=1)
    twice = DataSettings(sources=[{"kind": "coco"}, {"kind": "coco"}])
    with pytest.raises(UserError, match="two sources of the profile both claim"):
        open_data(twice, data_root=tmp_path, cache=tmp_path)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (("corvi", "itw_sm"), ["source 'coco'", "118,287 photographs", "18 GB", "train2017.zip"]),
        (("coco", "corvi", "itw_sm"), ["source 'truefake'", "MMLab-unitn", "/TrueFake "]),
        (("coco", "corvi", "truefake"), ["validation images", "3.55 GB", "/ITW-SM "]),
    ],
)
def test_a_run_says_what_it_lacks_and_where_that_is_offered(tmp_path, kinds, words):
    plant(tmp_path, kinds=kinds, images=1)
    with pytest.raises(UserError) as caught:
        Experiment.open("open", profile="paper", data_root=tmp_path)
    assert "\n" not in str(caught.value)
    for word in (*words, str(tmp_path)):
        assert word in str(caught.value)


def test_an_absent_root_is_a_mistake_and_an_empty_one_has_no_images(tmp_path):
    settings = load_profile("paper").data
    with pytest.raises(UserError, match="there is no folder"):
        open_data(settings, data_root=tmp_path / "gone", cache=tmp_path)
    assert open_data(settings, data_root=tmp_path, cache=tmp_path).rows.empty


def test_counts_are_those_that_publishers_and_paper_name():
    expected = {kind: source.expected for kind, source in PUBLISHED.items()}
    assert expected == {
        "coco": 118_287,
        "corvi": 180_000 + 20_000,
        "wang": None,
        "truefake": 3 * (8 * 5_000 + 2 * 10_000),
        "itw_sm": 2 * 5_000,
        "mediaeval_test": 10_000,
        "synthbuster": 9 * 1_000,
    }


def test_parts_divide_a_set(tmp_path):
    plant(tmp_path, images=1)
    for kind, source in PUBLISHED.items():
        files = find(kind, tmp_path).files
        inside = pd.DataFrame({part.name: part.rows(files) for part in source.parts})
        if kind == "truefake":
            files = files[files["source"] == "truefake"]
            inside = inside.loc[files.index]
        if source.parts:
            assert (inside.sum(axis=1) == 1).all() and inside.any().all(), kind


def test_every_set_is_in_the_books_references():
    references = (project_root() / "book" / "references.bib").read_text()
    for source in PUBLISHED.values():
        assert f"{{{source.citation}," in references


def test_the_authors_arrangement_differs_where_the_tests_say_so():
    # Guards the parametrisation above: a tree that is the publisher's tests nothing twice.
    assert {kind for kind in KINDS if AUTHORS[kind] != PUBLISHERS[kind]} == {
        "coco", "corvi", "truefake", "itw_sm", "mediaeval_test",
    }  # fmt: skip
