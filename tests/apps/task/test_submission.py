"""The task's submission file: made from predictions, checked, and made by the command line."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import TINY_OPTIONS, demo_detector, open_tiny
from layerfusion.analysis.comparison import Comparison
from layerfusion.apps.task.check import (
    COLUMNS,
    check_submission,
    find_test_images,
    keep_submission,
    keep_submissions,
    score_test_images,
    submission_name,
    submission_table,
)
from layerfusion.errors import UserError
from layerfusion.metrics.probability import probability as logistic
from layerfusion.paths import runs_root
from layerfusion.runs.condition import Condition
from layerfusion.runs.conditions import obtain_predictions
from layerfusion.scoring.files import write_scores

IMAGES = [f"{number}f3a.jpg" for number in range(8)]
GOOD = pd.DataFrame(
    {
        "image_id": IMAGES,
        "prob": [0.0, 1e-9, 0.1, 0.25, 0.5, 0.75, 0.999, 1.0],
        "label": [0, 0, 0, 1, 1, 1, 1, 1],
        "threshold": 0.25,
    }
)


def predictions(names, probabilities):
    names = pd.Series(names, dtype=object)  # as from a file system, whose names may be any bytes
    return pd.DataFrame({"image_id": names, "probability": probabilities})


def read(path):
    text = pd.read_csv(path, dtype=str, keep_default_na=False)  # pandas may round what it parses
    numbers = {column: text[column].map(float) for column in ("prob", "threshold")}
    return text.assign(**numbers, label=text["label"].map(int))


@pytest.fixture
def good(tmp_path):
    """A file without a mistake, of eight images."""
    path = tmp_path / "ours_open.csv"
    write_scores(GOOD, path)
    return path


# ----------------------------------------------------------------------------- the table


def test_the_table_has_file_names_sorted_and_labels_from_the_threshold():
    table = submission_table(predictions(["test/b.jpg", "more/a.PNG"], [0.25, 0.2499]), 0.25)
    assert table.to_dict("list") == {
        "image_id": ["a.PNG", "b.jpg"],
        "prob": [0.2499, 0.25],
        "label": [0, 1],
        "threshold": [0.25, 0.25],
    }


@pytest.mark.parametrize(
    ("names", "probabilities", "threshold", "words"),
    [
        (["a/x.jpg", "b/x.jpg"], [0.1, 0.2], 0.5, "two test images are named x.jpg, a/x.jpg and"),
        (["x.jpg"], [float("nan")], 0.5, "x.jpg has no probability"),
        (["x.jpg"], [1.5], 0.5, "x.jpg has no probability"),
        (["x.jpg"], [0.5], float("nan"), "threshold nan is not a probability"),
        (["a\nb.jpg"], [0.5], 0.5, "cannot be a line of a CSV"),
        (["a\udcff.jpg"], [0.5], 0.5, "cannot be a line of a CSV"),
        ([], [], 0.5, "no test images"),
    ],
)
def test_what_cannot_be_submitted_is_one_sentence(names, probabilities, threshold, words):
    with pytest.raises(UserError, match=words):
        submission_table(predictions(names, probabilities), threshold)


@pytest.mark.parametrize("team", ["", "a b", "équipe", "a/b", "a.b", "x\n"])
def test_a_team_name_that_is_no_part_of_a_file_name_is_refused(team):
    with pytest.raises(UserError, match="use letters, digits, - and _"):
        submission_name(team, "open")


def test_the_tasks_two_runs_have_a_name_each():
    assert submission_name("our-team_2", "constrained") == "our-team_2_constrained.csv"
    with pytest.raises(UserError, match="not 'third'"):
        submission_name("ours", "third")


# Every example writes its file anew, so that all can share one folder.
overwriting = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

names_of_files = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1
).map(lambda stem: f"{stem}.jpg")
probability = st.floats(0, 1)


@given(
    rows=st.dictionaries(names_of_files, probability, min_size=1, max_size=12),
    threshold=probability,
)
@overwriting
def test_what_is_written_passes_the_check_and_reads_back_bit_for_bit(tmp_path, rows, threshold):
    path = tmp_path / "ours_constrained.csv"
    table = submission_table(predictions(list(rows), list(rows.values())), threshold)
    write_scores(table, path)
    assert check_submission(path, rows.keys()) == []
    assert (
        dict(zip(*read(path)[["image_id", "prob"]].to_dict("list").values(), strict=True)) == rows
    )
    pd.testing.assert_frame_equal(read(path), table, check_exact=True)
    assert b"\r" not in path.read_bytes()


# ----------------------------------------------------------------------------- the check


def edited(change):
    """Return the mistake that changes the good table before it is written as usual."""
    return lambda path: change(GOOD.copy()).to_csv(path, index=False)


def replaced(old, new, count=-1):
    """Return the mistake that replaces bytes of the good file."""
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new, count))


def with_value(row, column, value):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return edited(change)


HEADER = b"image_id,prob,label,threshold"

NOT_AN_IMAGE = "image_id is not the file name of a test image, with its extension, in "
NOT_UTF8 = "is not UTF-8 without a byte-order mark"
EXACTLY = "it must be exactly image_id,prob,label,threshold"

MISTAKES = {
    "empty": (lambda path: path.write_bytes(b""), "the file is empty"),
    "blank": (lambda path: path.write_bytes(b" \n\n"), "the file is empty"),
    "no rows": (lambda path: path.write_bytes(HEADER + b"\n"), "there is a header and no row"),
    "no header": (
        replaced(HEADER + b"\n", b""),
        f"the first line is '0f3a.jpg,0.0,0,0.25'; {EXACTLY}",
    ),
    "twice": (
        edited(lambda table: pd.concat([table, table[2:4]])),
        "an image is there once more in 2 rows, first in line 10: image_id '2f3a.jpg'",
    ),
    "extra": (
        edited(lambda table: pd.concat([table, table[:1].assign(image_id="new.jpg")])),
        f"{NOT_AN_IMAGE}line 10: image_id 'new.jpg'",
    ),
    "missing": (
        edited(lambda table: table.drop(index=[1, 6])),
        "2 of 8 test images are missing, first '1f3a.jpg'",
    ),
    "order": (
        edited(lambda table: table[["image_id", "label", "prob", "threshold"]]),
        f"the first line is 'image_id,label,prob,threshold'; {EXACTLY}",
    ),
    "further column": (
        edited(lambda table: table.assign(split="test")),
        "the first line is 'image_id,prob,label,threshold,split'",
    ),
    "lacking column": (
        edited(lambda table: table.drop(columns="threshold")),
        "the first line is 'image_id,prob,label'",
    ),
    "repeated column": (
        lambda path: path.write_text(
            GOOD.to_csv(index=False, columns=["image_id", "prob", "prob", "label", "threshold"])
        ),
        "the first line is 'image_id,prob,prob,label,threshold'",
    ),
    "row index": (lambda path: GOOD.to_csv(path), "the first line is ',image_id,prob,"),
    "flipped label": (
        with_value(5, "label", 0),
        "label contradicts prob >= threshold in line 7: label '0', prob '0.75', threshold '0.25'",
    ),
    "label above, not at": (
        with_value(3, "label", 0),
        "label contradicts prob >= threshold in line 5",
    ),
    "float labels": (
        edited(lambda table: table.astype({"label": float})),
        "label is not 0 or 1 in 8 rows, first in line 2: label '0.0'",
    ),
    "words as labels": (
        with_value(1, "label", "real"),
        "label is not 0 or 1 in line 3: label 'real'",
    ),
    "thresholds": (
        with_value(4, "threshold", 0.3),
        "threshold is not that of most rows in line 6: threshold '0.3'",
    ),
    "first threshold": (
        with_value(0, "threshold", 0.3),
        "threshold is not that of most rows in line 2: threshold '0.3'",
    ),
    "threshold out of range": (
        edited(lambda table: table.assign(threshold=2, label=0)),
        "threshold is not a number in [0, 1] in 8 rows, first in line 2: threshold '2'",
    ),
    **{
        f"prob {value}": (
            with_value(2, "prob", value),
            f"prob is not a number in [0, 1] in line 4: prob '{value or ''}'",
        )
        for value in (1.5, -0.1, "n/a", None, "nan", "0.1_0")
    },
    "byte-order mark": (
        lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
        NOT_UTF8,
    ),
    "UTF-16": (lambda path: path.write_bytes(path.read_text().encode("utf-16")), NOT_UTF8),
    "semicolons": (replaced(b",", b";"), "columns are separated by ';'"),
    "tabs": (replaced(b",", b"\t"), "columns are separated by '\\t'"),
    "CR LF": (replaced(b"\n", b"\r\n"), "lines end in CR LF"),
    "open quote": (replaced(b"2f3a", b'"2f3a'), "is not CSV"),
    "empty line": (replaced(b"2f3a", b"\n2f3a"), "a row has not 4 fields in line 4: fields '0'"),
    "empty first line": (replaced(HEADER, b"\n" + HEADER), "a row has not 4 fields in line 1"),
    "short row": (
        replaced(b"\n2f3a.jpg,0.1,0,0.25", b"\n2f3a.jpg,0.1"),
        "a row has not 4 fields in line 4: fields '2'",
    ),
}
WRONG_IDS = {
    "no extension": lambda path: replaced(b".jpg", b"")(path),
    "other extension": replaced(b"3f3a.jpg", b"3f3a.png"),
    "folder in id": edited(lambda table: table.assign(image_id="test/" + table["image_id"])),
    "renamed column": replaced(b"image_id", b"Image_ID"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_its_sentence_and_no_other(good, mistake):
    assert check_submission(good, IMAGES) == []
    make, sentence = MISTAKES[mistake]
    make(good)
    problems = check_submission(good, IMAGES)
    assert len(problems) == 1, problems
    assert sentence in problems[0]


@pytest.mark.parametrize("mistake", WRONG_IDS)
def test_images_that_are_named_wrongly_are_missing_too(good, mistake):
    WRONG_IDS[mistake](good)
    wrong, missing = check_submission(good, IMAGES)
    assert NOT_AN_IMAGE in wrong or EXACTLY in wrong
    assert "test images are missing" in missing


def test_what_is_no_text_says_so_first(good):
    good.write_bytes(b"PK\3\4\0\0")
    assert NOT_UTF8 in check_submission(good, IMAGES)[0]


def test_text_that_is_not_utf8_is_said_and_the_rest_still_checked(good):
    replaced(b"2f3a", b"\xe9")(good)
    not_utf8, unknown, missing = check_submission(good, IMAGES)
    assert NOT_UTF8 in not_utf8
    assert f"{NOT_AN_IMAGE}line 4" in unknown and "'2f3a.jpg'" in missing


@given(start=st.integers(0, 200), cut=st.integers(0, 40), junk=st.binary(max_size=30))
@overwriting
def test_no_damage_stops_the_check(good, start, cut, junk):
    write_scores(GOOD, good)
    whole = good.read_bytes()
    damaged = whole[:start] + junk + whole[start + cut :]
    good.write_bytes(damaged)
    problems = check_submission(good, IMAGES)
    assert all(len(problem.splitlines()) == 1 for problem in problems)
    # What passes is the same table, perhaps with another number or the rows in another order.
    if not problems:
        pd.testing.assert_index_equal(read(good).columns, GOOD.columns)
        assert sorted(read(good)["image_id"]) == IMAGES


@pytest.mark.parametrize(
    "name", ["ours.csv", "open.csv", "_open.csv", "ours_open.txt", "ours_Open.csv", "o rs_open.csv"]
)
def test_a_file_name_of_another_form_is_said(good, name):
    (problem,) = check_submission(good.rename(good.with_name(name)), IMAGES)
    assert name in problem and "TEAM_constrained.csv or TEAM_open.csv" in problem


def test_mistakes_do_not_hide_each_other(good):
    table = pd.concat([GOOD.drop(index=0), GOOD[1:2]]).assign(label=lambda rows: 1 - rows["label"])
    table["image_id"] = table["image_id"].replace("7f3a.jpg", "7f3a")
    text = table.to_csv(sep=";", lineterminator="\r\n")
    good.write_text(text, encoding="utf-8-sig", newline="")
    text = "\n".join(check_submission(good, IMAGES))
    for words in ("byte-order", "CR LF", "separated by ';'", EXACTLY, f"{NOT_AN_IMAGE}line 8",
                  "once more", "contradicts prob >= threshold in 8", "2 of 8 test"):  # fmt: skip
        assert words in text
    assert len(text.splitlines()) == 8


def test_the_two_runs_must_differ_in_their_probabilities(good):
    other = good.with_name("ours_constrained.csv")
    shifted = GOOD.assign(threshold=0.5, label=(GOOD["prob"] >= 0.5).astype(int))
    write_scores(shifted[::-1], other)
    (problem,) = check_submission(good, IMAGES, other)
    assert "the same as in ours_constrained.csv for all 8 images" in problem
    shifted.loc[0, "prob"] = 5e-324
    write_scores(shifted, other)
    assert check_submission(good, IMAGES, other) == []
    other.write_text("")
    (problem,) = check_submission(good, IMAGES, other)
    assert "cannot be compared" in problem


def test_a_file_that_is_not_there_is_a_users_error(good, tmp_path):
    for path in (tmp_path / "none_open.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            check_submission(path, IMAGES)
    with pytest.raises(UserError, match="cannot be compared with itself"):
        check_submission(good, IMAGES, good)


# --------------------------------------------------------------- runs and the command line


@pytest.fixture
def experiment(finished, photos):
    """The experiment of that run."""
    return open_tiny(photos)


@pytest.fixture
def submit(run, photos, tmp_path):
    """Submit the photos' test images; options given replace these."""

    def submit(*options, kind="open", images=photos / "test"):
        return run("submit", "--run", kind, "--images", images, "--team", "ours",
                   "--out", tmp_path, *options)  # fmt: skip

    return submit


def test_submit_writes_what_evaluation_predicts(experiment, submit, photos, tmp_path):
    status, out, err = submit("--data-root", photos, *TINY_OPTIONS)
    assert status == 0, err
    finished = experiment.place.read()
    predicted = obtain_predictions(experiment, finished, Condition(split="test"))
    table = read(tmp_path / "ours_open.csv")
    assert list(table.columns) == COLUMNS
    assert list("test/" + table["image_id"]) == list(predicted["image_id"])
    np.testing.assert_array_equal(table["prob"], logistic(predicted["logit"]))
    assert set(table["threshold"]) == {finished.record.threshold}
    np.testing.assert_array_equal(table["label"], table["prob"] >= finished.record.threshold)
    printed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert printed["file"] == str(tmp_path / "ours_open.csv") and printed["images"] == "6"
    assert printed["synthetic"].split()[0] == str(table["label"].sum())
    assert float(printed["threshold"]) == finished.record.threshold
    data = (tmp_path / "ours_open.csv").read_bytes()
    assert printed["sha256"] == hashlib.sha256(data).hexdigest()
    assert "no mistake" in printed["checked"] and "10,000" in printed["note"]
    assert "mean nothing for real photographs; do not submit" in err


def test_a_run_keeps_the_same_file_from_its_predictions(experiment, submit, photos, tmp_path):
    finished = experiment.place.read()
    predicted = obtain_predictions(experiment, finished, Condition(split="test"))
    kept = keep_submission(finished, predicted, team="ours")
    assert kept == finished.directory / "submission" / "ours_open.csv"
    assert keep_submission(finished, predicted, team="ours") == kept  # again, as a chapter would
    assert submit("--detector", finished.directory / "detector")[0] == 0
    assert kept.read_bytes() == (tmp_path / "ours_open.csv").read_bytes()
    labelled = finished.predictions().query("label == 1")
    scored = labelled.assign(probability=logistic(labelled["logit"]))
    table = submission_table(scored, finished.record.threshold)
    assert list(table.columns) == COLUMNS and len(table) == len(labelled) == 12


def test_scores_are_of_the_precision_of_training(experiment, photos, monkeypatch, tmp_path):
    halved = {"training.precision": "bf16", "training.epochs": 1}
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path))
    chosen = open_tiny(photos, "constrained", overrides=halved)
    finished = chosen.obtain()
    images, _ = find_test_images(photos / "test")
    loader = chosen.profile.loader
    predicted = obtain_predictions(chosen, finished, Condition(split="test"))["logit"]
    scored = score_test_images(finished.detector(), images, precision="bf16", loader=loader)
    np.testing.assert_array_equal(scored["logit"], predicted)
    full = score_test_images(finished.detector(), images, precision="fp32", loader=loader)
    assert (full["logit"] != predicted).any()


def test_without_a_finished_run_the_command_that_makes_it_is_said(submit, photos, tmp_path):
    status, out, err = submit("--data-root", photos, *TINY_OPTIONS, "--seed", 7)
    assert (status, out) == (2, "") and len(err.strip().splitlines()) == 1
    assert f"layerfusion train --run open --profile demo --data-root {photos} --seed 7" in err
    assert "--set 'data.sources=" in err
    assert not list(tmp_path.glob("*.csv")) and not list(runs_root().glob("*/open*"))


@pytest.fixture
def detector(tmp_path):
    """The folder of a detector that is of no run."""
    folder = tmp_path / "detector"
    demo_detector().save(folder)
    return folder


def test_a_file_that_is_there_is_replaced_only_by_force(submit, detector, tmp_path):
    path = tmp_path / "ours_open.csv"
    path.write_text("precious")
    status, out, err = submit("--detector", detector)
    assert (status, out) == (2, "") and "--force" in err and path.read_text() == "precious"
    assert submit("--detector", detector, "--force")[0] == 0
    assert path.read_text().startswith("image_id,prob")


def test_submitting_one_detector_twice_is_found_at_once(submit, detector, tmp_path):
    assert submit("--detector", detector)[0] == 0
    status, out, _ = submit("--detector", detector, kind="constrained")
    assert status == 1 and "problem   prob is the same as in ours_open.csv" in out


def test_the_detector_of_the_other_run_is_refused(experiment, submit):
    status, out, err = submit(
        "--detector", experiment.place.finished / "detector", kind="constrained"
    )
    assert (status, out) == (2, "") and "give --run open" in err


@pytest.fixture
def damaged(photos, tmp_path):
    """Test images of which two cannot be read: a damaged file and a link to nowhere."""
    folder = tmp_path / "test"
    (folder / "deep").mkdir(parents=True)
    for name in ("0.jpg", "1.jpg"):
        (folder / name).write_bytes((photos / "test" / name).read_bytes())
    (folder / "deep" / "2.jpg").write_text("no picture")
    (folder / "3.jpg").symlink_to(folder / "gone.jpg")
    (folder / "notes.txt").touch()
    return folder


def test_unreadable_images_are_refused_or_get_the_prob_that_is_chosen(
    submit, detector, damaged, tmp_path
):
    status, out, err = submit("--detector", detector, images=damaged)
    assert (status, out) == (2, "") and "2 of 4 test images cannot be read" in err
    assert "2.jpg (" in err and "3.jpg (" in err and "--unreadable-as" in err
    assert not list(tmp_path.glob("*.csv"))
    status, out, err = submit("--detector", detector, "--unreadable-as", 0, images=damaged)
    assert status == 0 and "not scored: 2.jpg" in err and "1 other files" in err
    table = read(tmp_path / "ours_open.csv").set_index("image_id")
    assert list(table.index) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert (table.loc[["2.jpg", "3.jpg"], ["prob", "label"]] == 0).all(axis=None)
    assert (table.loc[["0.jpg", "1.jpg"], "prob"] > 0).all()


@pytest.fixture
def checked_images(tmp_path):
    """A folder of images by name; the check does not look into them."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in IMAGES:
        (folder / name).touch()
    return folder


def test_the_check_lists_mistakes_and_tells_by_its_status(run, good, checked_images):
    check = ["submission", "check", good, "--images", checked_images]
    status, out, err = run(*check)
    assert (status, err) == (0, "") and "one row for each of 8 test images" in out
    replaced(b",0.25\n", b",0.5\n", 1)(good)
    with_a_bom = b"\xef\xbb\xbf" + good.read_bytes()
    good.write_bytes(with_a_bom)
    status, out, _ = run(*check)
    assert status == 1 and out.count("problem   ") == 2 == len(out.splitlines())
    assert good.read_bytes() == with_a_bom


@pytest.mark.parametrize("named", [True, False], ids=["named", "found beside"])
def test_the_check_compares_both_runs(run, good, checked_images, tmp_path, named):
    other = tmp_path / "old.csv" if named else tmp_path / "ours_constrained.csv"
    write_scores(GOOD, other)
    against = ["--against", other] if named else []
    status, out, _ = run("submission", "check", good, "--images", checked_images, *against)
    assert status == 1 and f"the same as in {other.name}" in out


def test_two_test_images_of_one_name_are_refused(checked_images):
    (checked_images / "more").mkdir()
    (checked_images / "more" / IMAGES[0]).touch()
    with pytest.raises(UserError, match=r"two test images are named 0f3a\.jpg"):
        find_test_images(checked_images)


def test_both_runs_submissions_are_kept_and_checked(photos):
    experiment = open_tiny(photos, overrides={"training.epochs": 1})
    runs = Comparison.obtain(experiment, ["local", "official"])
    kept = keep_submissions(runs, team="ours")
    assert kept["mistakes"].tolist() == ["", ""]
    assert kept["images"].tolist() == [6, 6]
    for name, run in runs.runs.items():
        file = run.directory / "submission" / f"ours_{name}.csv"
        labels = pd.read_csv(file)["label"]
        assert kept.loc[name, "called synthetic"] == labels.sum()
        assert kept.loc[name, "threshold"] == run.record.threshold
