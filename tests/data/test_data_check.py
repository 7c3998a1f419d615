"""`layerfusion data check`, as a user reads it who has downloaded half of the data."""

import shutil

import pandas as pd
import pytest

from layerfusion.data.check import check_data
from layerfusion.data.sources.published import PUBLISHED
from layerfusion.settings import load_profile
from trees import plant

# How many images `plant` puts into each part at images=1, in the order of the parts.
PLANTED = {
    "coco": (4,),
    "corvi": (7, 7),
    "truefake": (8, 2) * 3,
    "itw_sm": (4, 5),
    "mediaeval_test": (4,),
    "synthbuster": (1,) * 9,
}

# The paper's quotas, as many as `plant` can fill at images=1.
QUOTAS = (
    "data.selection.quotas=[{source: coco, label: real, images: 3}, "
    "{source: corvi, label: synthetic, images: 7}, {source: truefake, label: synthetic, images: 1, "
    "each: [platform, generator], platforms: [Facebook, Telegram, Twitter]}]"
)


@pytest.fixture(autouse=True)
def publishers_count_what_is_planted(monkeypatch):
    for kind, counts in PLANTED.items():
        source = PUBLISHED[kind]
        parts = [
            part.model_copy(update={"images": count})
            for part, count in zip(source.parts, counts, strict=True)
        ]
        monkeypatch.setitem(PUBLISHED, kind, source.model_copy(update={"parts": tuple(parts)}))


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    root = tmp_path_factory.mktemp("complete")
    plant(root, images=1)
    return root


@pytest.fixture
def check(run):
    """Run the command; returns (exit status, output with single spaces, errors)."""

    def check(*arguments):
        quotas = [] if "--profile" in arguments else ["--set", QUOTAS]
        status, out, err = run("data", "check", *arguments, *quotas)
        assert max(map(len, out.splitlines()), default=0) <= 100
        return status, " ".join(out.split()), err

    return check


def line(text, begin, end):
    """The piece of a text from one phrase up to another."""
    return text[text.index(begin) :].partition(end)[0]


def test_a_complete_root_can_run(check, complete):
    status, out, _ = check("--data-root", complete)
    assert status == 0
    assert out.endswith("constrained: can run open: can run")
    assert "is missing (" not in out and "Incomplete" not in out and "cannot be read" not in out
    found = line(out, "TrueFake", "not stated")
    assert found.split()[:4] == ["TrueFake", "30", "30", "0"]
    assert "12 names in 4 files real_*.txt" in out
    assert "10 images of PreSocial" in out
    assert "images: Flickr's terms; annotations: CC BY 4.0" in out


def test_an_empty_root_says_of_all_sets_what_they_are_and_where(check, tmp_path):
    status, out, _ = check("--data-root", tmp_path)
    assert status == 1
    for source in PUBLISHED.values():
        facts = source
        told = line(out, f"{facts.name} is missing", "(layout: ")
        for words in (facts.images.text, facts.size.text, facts.published.text, str(tmp_path)):
            assert words in told
    assert "TrueFake is missing (needed by: open)" in out
    assert "Synthbuster is missing (no run" in out
    assert "constrained: cannot run: COCO train2017 is missing; Corvi et al." in out


def test_one_missing_set_keeps_one_run_from_running(check, complete, tmp_path):
    for folder in complete.iterdir():
        if folder.name != "TrueFake":
            (tmp_path / folder.name).symlink_to(folder)
    status, out, _ = check("--data-root", tmp_path)
    assert status == 1
    assert out.endswith("constrained: can run open: cannot run: TrueFake is missing")
    assert out.count("is missing (") == 1
    fewer = ["--set", "runs.open.train_sources=[coco, corvi]"]
    assert check("--data-root", tmp_path, *fewer)[0] == 0


def test_half_extracted_sets_are_named_with_their_parts(check, tmp_path):
    plant(tmp_path, images=1, half_extracted=("corvi", "truefake"))
    status, out, _ = check("--data-root", tmp_path)
    told = line(out, "Incomplete, perhaps half extracted:", "Notes:")
    # The first half of Corvi's files are those of train; PreSocial comes before Telegram.
    assert "Corvi et al., latent diffusion: valid 0 of 7" in told and "train 7" not in told
    assert "TrueFake: Telegram/Fake 0 of 8; Telegram/Real 0 of 2; Twitter/Fake 0 of 8" in told
    assert "COCO" not in told
    assert "constrained: can run, but on less than is published: Corvi et al., latent" in out
    assert "open: cannot run: source 'truefake' has 8 of the 24 synthetic images that the" in out
    assert status == 1


def test_what_is_damaged_is_listed_and_counted(check, tmp_path):
    plant(tmp_path, images=1, corrupt=True, empty=True, duplicates=2)
    status, out, _ = check("--data-root", tmp_path, "--out", tmp_path / "bad.csv")
    assert status == 0
    assert "2 files cannot be read and are left out:" in out
    assert "ITW-SM/1_fake/x_618.jpg: truncated file" in out
    assert "0_real has 6 images, more than the 4 published" in out
    table = pd.read_csv(tmp_path / "bad.csv")
    assert list(table.columns) == ["source", "path", "reason"]
    assert dict(zip(table["source"], table["reason"], strict=True)) == {
        "coco": "empty file",
        "itw_sm": "truncated file",
    }
    found = {one.name: one for one in check_data(load_profile("paper"), tmp_path).sources}
    assert found["COCO train2017"].corrupt == 1
    wild = found["MediaEval validation (ITW-SM)"]
    assert (wild.found, wild.corrupt, wild.duplicates) == (11, 1, 2)
    assert [one.duplicates for one in found.values()].count(0) == 6


def test_only_the_first_unreadable_files_are_on_the_screen(check, tmp_path):
    (tmp_path / "train2017").mkdir()
    for number in range(25):
        (tmp_path / f"train2017/{number:02d}.jpg").touch()
    status, out, _ = check("--data-root", tmp_path, "--out", tmp_path / "bad.csv")
    assert status == 1
    assert "25 files cannot be read and are left out, the first 20" in out
    assert "19.jpg: empty file" in out and "20.jpg" not in out
    assert len(pd.read_csv(tmp_path / "bad.csv")) == 25
    # Nothing can be read, so nothing can be trained on.
    assert "COCO train2017 is missing" in line(out, "constrained:", "open:")


def test_images_that_lie_otherwise_than_published_are_noted(check, complete, tmp_path):
    shutil.copytree(complete / "synthbuster", tmp_path / "synthbuster")
    (tmp_path / "synthbuster" / "glide").rename(tmp_path / "synthbuster" / "glide2")
    _, out, _ = check("--data-root", tmp_path)
    assert "Synthbuster: images in its folder that do not lie as its layout says" in out
    assert "passed over: 1, the first of them synthbuster/glide2/" in out
    assert "Synthbuster: glide 0 of 1" in out


def test_equal_files_of_different_splits_are_noted(tmp_path):
    plant(tmp_path, kinds=("coco", "itw_sm"), images=1)
    shutil.copy(next(tmp_path.glob("train2017/*.jpg")), tmp_path / "ITW-SM/0_real/x_real_1.jpg")
    heading, note = check_data(load_profile("paper"), tmp_path).findings[-1]
    assert heading == "Notes:" and "x_real_1.jpg" in note
    assert note.startswith("2 files have an equal in another split")


def test_labels_of_test_images_are_checked(check, complete, tmp_path):
    names = sorted(path.name for path in (complete / "taska_test").iterdir())
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["image_id,label", *(f"{name},1" for name in names)]))
    given = ["--data-root", complete, "--set", f"data.test_labels={labels}"]
    status, out, _ = check(*given)
    assert status == 0 and "labels all 4 test images" in out
    labels.write_text(labels.read_text() + "\nno.jpg,1")
    status, _, err = check(*given)
    assert status == 2 and "1 are not there" in err


def test_a_folder_of_ones_own_is_checked_too(check, photos):
    status, out, _ = check("--profile", "folder", "--data-root", photos)
    assert status == 0
    assert "train: social 24 - -" in out and "val: folder 24 - -" in out
    assert out.endswith("constrained: can run open: can run")
    other = ["--set", "runs.open.train_sources=[constrained, wild]"]
    status, out, _ = check("--profile", "folder", "--data-root", photos, *other)
    assert status == 1 and out.endswith("open: cannot run: source 'wild' is missing")
