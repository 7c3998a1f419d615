"""Labels of test images from a file: all of them, or one sentence."""

import unicodedata
from pathlib import PurePosixPath

import pytest

from layerfusion.data.labels import label_test_images
from layerfusion.data.manifest import file_table
from layerfusion.data.opening import open_data
from layerfusion.errors import UserError
from layerfusion.runs.condition import CONDITIONS
from layerfusion.settings import DataSettings
from trees import plant

FILES = file_table(
    [
        ("t/a.jpg", None, "test", "hidden", None, None),
        ("t/b.JPG", None, "test", "hidden", None, None),
        ("v/a.jpg", 0, "val", "itw", None, None),
    ]
)


def write(folder, text):
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_accents_are_compared_as_they_look(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9.jpg") for form in ("NFC", "NFD"))
    for name, stored in ((composed, decomposed), (decomposed, composed)):
        files = file_table([(f"t/{stored}", None, "test", "hidden", None, None)])
        labelled = label_test_images(files, write(tmp_path, f"image_id,label\n{name},1\n"))
        assert labelled["label"].tolist() == [1]
        assert labelled["path"].tolist() == [f"t/{stored}"]


@pytest.mark.parametrize(
    "text",
    [
        "image_id,label\nb.JPG,1\na.jpg,0\n",
        "image_id,label\na.jpg,real\nb.JPG,Synthetic\n",
        "split,label,image_id\ntest, 1 ,b.JPG\ntest,0,a.jpg\n",
    ],
)
def test_labels_go_by_file_name_and_to_test_images_alone(tmp_path, text):
    labelled = label_test_images(FILES, write(tmp_path, text))
    assert labelled["label"].tolist() == [0, 1, 0]
    assert labelled.dtypes.equals(FILES.dtypes)
    assert FILES["label"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_id,label\na.jpg,0\nb.JPG,1\nc.jpg,1\nd.jpg,1\n", "2 are not there: image_id"),
        ("image_id,label\na,0\nb,1\n", "file name with its extension"),
        ("image_id,label\na.jpg,0\n", r"1 have no label; the first of them is 'b\.JPG'"),
        ("image_id,label\na.jpg,0\nb.JPG,1\na.jpg,0\n", r"1 are named more than once"),
        ("image_id,label\na.jpg,0\nb.JPG,fake\n", "line 3: 'fake' is not a label; use 0 or real"),
        ("image_id,label\na.jpg,\nb.JPG,1\n", "line 2: '' is not a label"),
        ("image_id,target\na.jpg,0\n", "lack the column 'label'"),
        ("", "cannot be read as CSV"),
    ],
)
def test_bad_labels_are_one_sentence(tmp_path, text, words):
    with pytest.raises(UserError, match=words) as caught:
        label_test_images(FILES, write(tmp_path, text))
    assert "labels.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_what_cannot_be_labelled(tmp_path):
    good = write(tmp_path, "image_id,label\na.jpg,0\nb.JPG,1\n")
    with pytest.raises(UserError, match="file of test labels not found"):
        label_test_images(FILES, tmp_path / "gone.csv")
    with pytest.raises(UserError, match="no test images without labels"):
        label_test_images(FILES[FILES["split"] == "val"], good)
    with pytest.raises(UserError, match="no test images without labels"):
        label_test_images(FILES.assign(label=FILES["label"].fillna(1)), good)
    twice = FILES.assign(path=["t/a.jpg", "u/a.jpg", "v/a.jpg"])
    with pytest.raises(UserError, match=r"have the file name of another"):
        label_test_images(twice, good)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_profile_names_its_labels(tmp_path, absolute):
    root = tmp_path / "data"
    truth = plant(root, kinds=("mediaeval_test",), images=1)["mediaeval_test"]
    lines = [f"{PurePosixPath(path).name},{label}" for path, label in truth.items()]
    file = write(root, "\n".join(["image_id,label", *lines]))
    settings = DataSettings(
        sources=[{"kind": "mediaeval_test"}], test_labels=str(file) if absolute else file.name
    )
    manifest = open_data(settings, data_root=root, cache=tmp_path)
    official = manifest.select(split=CONDITIONS["official"].split).rows
    assert dict(zip(official["path"], official["label"], strict=True)) == truth
