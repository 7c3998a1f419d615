"""Wrong use of every command: one sentence that says what is wrong, status 2, nothing left behind.

A row of the table is a command line and words of what it says. Each runs in a folder that holds::

    photos/{train,val}/{real,synthetic}/*.png   unsorted/*.png   one_class/{train,val}/real/*.png
    classes/{0,1}/*.png
    a.txt   a.csv   empty/   empty.yaml   list.yaml   short.yaml   cp1252.yaml   broken_detector/
"""

import json
import shlex
import shutil
import sys

import numpy as np
import pytest

from conftest import draw_image
from layerfusion.cli import main
from layerfusion.scoring.detectors import DEMO_FOLDER

TABLE = """
train                                                   | Missing option
train --run closed                                      | has no run 'closed'
train --run open --seed -1                              | greater than or equal to 0
train --run open --seed one                             | valid integer
train --run open --profile none                         | there is no profile 'none'; use demo,
train --run open --seed 99999999999999999999            | there is no seed 9999999999999
train --run open --set head.hidden_width=99999999       | 'head.hidden_width': Input should be
train --run open --profile none.yaml                    | there is no profile 'none.yaml'
train --run open --profile empty.yaml                   | must be a YAML mapping
train --run open --profile list.yaml                    | must be a YAML mapping
train --run open --profile cp1252.yaml                  | is not UTF-8 from line 1 on
train --run open --profile short.yaml                   | setting 'about': Field required
train --run open --profile alias.yaml                   | aliases (*) are not read
train --run open --profile twice.yaml                   | 'name' stands there twice
train --run open --profile folder                       | give it with --data-root
train --run open -p folder -d gone                      | there is no folder gone
train --run open -p folder -d a.txt                     | a.txt is a file; give the folder
train --run open -p folder -d empty                     | there are no images in empty
train --run open -p folder -d unsorted                  | sort them into folders named train
train --run open -p folder -d one_class                 | trains on source 'constrained', which
train --run open --data-root photos                     | would not read photos; leave out
train --run open --resume --fresh                       | give one of them
train --run open --set epochs                           | is not of the form name=value
train --run open --set =1                               | is not of the form name=value
train --run open --set epochs=1                         | 'epochs': there is no such setting
train --run open --set training=1                       | 'training': Input should be a valid dict
train --run open --set training.epochs=0                | 'training.epochs': Input should be great
train --run open --set training.epochs=many             | 'training.epochs': Input should be a val
train --run open --set training.epochs=[                | the value in 'training.epochs=[' is not
train --run open --set training.epochs.more=1           | 'epochs' holds a value, not further
train --run open --set training.precision=fp8           | Input should be 'fp32', 'bf16' or 'fp16'
train --run open --set training.head_learning_rate=nan  | 'training.head_learning_rate'
train --run open --set images.crop=32                   | takes images of 64 px; set images.crop=64
train --run open --set images.min_side=10               | min_side must be at least crop
train --run open --set encoder.model=ViT-XXL            | OpenCLIP knows no model 'ViT-XXL'
train --run open --set encoder.model=RN50               | is not an OpenCLIP vision transformer
train --run open --set encoder.model=gone.json          | model-config JSON not found
train --run open --set encoder.model=a.json             | a valid OpenCLIP model configuration
train --run open --set encoder.weights=gone.pt          | is neither a tag, nor
train --run open --set encoder.trained_blocks=99        | but the tower has 12 blocks
train --run open --set encoder.activation=relu          | 'auto', 'quick_gelu' or 'gelu'
train --run open --set head.blocks=first                | 'all', 'last' or 'mean'
train --run open --set head.reads=[99]                  | but the encoder has 12 blocks
train --run open --set head.reads=[0]                   | reads must be block numbers from 1
train --run open --set data.sources=[]                  | the profile has no data sources
train --run open --set data.sources=[1]                 | 'data.sources.0
train --run open --set images.augmentation.jpeg_quality=[100,50] | jpeg_quality must be [low, high]
train --run open --set training.epoch=1                 | 'training.epoch': there is no such setting
train --run open --set head.reads=[2,1]                 | each once, in their order
train --run open --set head.reads=[]                    | 'head.reads': Tuple should have at least 1
train --run open --set head.reads=[1] --set head.blocks=last | does not go with blocks=last
train --run open --set images.augmentation.jpeg_quality=[50,101] | must not exceed 100
train --run open --set "data.sources=[{kind: cloud}]"   | 'data.sources.0'
train --run open --set data.selection.name=shared       | 'shared' needs quotas
train --run open --set data.selection.name=best         | 'data.selection.name'
score                                                   | Missing argument
score gone.jpg --detector demo                          | there is no file or folder gone.jpg
score https://example.org/a.jpg --detector demo         | https://example.org/a.jpg is an address
score empty --detector demo                             | there are no images in empty
score photos                                            | needs the weights 'clip-vit-b-16-int8'
score photos --detector gone                            | gone holds no detector.json
score photos --detector empty                           | empty holds no detector.json
score photos --detector broken_detector                 | a valid detector's description: encoder
score photos --detector photos                          | photos holds no detector.json
score photos --detector demo --out gone/scores.csv      | the folder of --out gone/scores.csv does
score photos --detector demo --out photos               | --out photos is a folder; name a file in
score photos --detector demo --out photos/val/real/c.png | is an image, which would be lost
score photos --detector demo --out /dev/null            | is a pipe, socket or device; name a file
score photos --detector threshold_nan                   | threshold: Input should be
score photos --detector threshold_2                     | threshold: Input should be
score photos --detector wide                            | head.hidden_width: Input should be less
score photos --detector threshold_text                  | threshold: Input should be
score photos --detector demo --weights gone.pt          | is neither a tag, nor
inspect                                                 | Missing argument
inspect photos                                          | needs the weights 'clip-vit-b-16-int8'
inspect photos --detector demo                          | has no validation.csv
inspect photos --detector gone                          | gone holds no detector.json
inspect photos --report gone/a.html                     | the folder of --report gone/a.html does
inspect photos --report /dev/null                       | is a pipe, socket or device; name a file
inspect photos --report photos/val/real/c.png           | is an image, which would be lost
calibrate                                               | Missing argument
calibrate photos                                        | Missing option
calibrate photos --out photos                           | --out photos already exists
calibrate photos --out gone/new                         | the folder of --out gone/new does not
calibrate photos --out new --report /dev/null           | is a pipe, socket or device; name a file
calibrate photos --out new --report gone/a.html         | the folder of --report gone/a.html does
calibrate photos --out new                              | needs the weights 'clip-vit-b-16-int8'
calibrate photos --out new --detector gone              | gone holds no detector.json
calibrate gone --out new --detector demo                | there is no folder gone
calibrate a.txt --out new --detector demo               | a.txt is a file; give the folder
calibrate empty --out new --detector demo               | there are no images in empty
calibrate unsorted --out new --detector demo            | sort them into folders named so
calibrate photos --out new --detector demo              | 50 are needed at least
calibrate classes --out new --detector demo             | a folder 0 or 1 says neither: rename it
calibrate one_class --out new --detector demo           | 50 are needed at least, 10 of each class
submit                                                  | Missing option
submit --run open --images photos --team a --out gone   | the folder of --out gone/a_open.csv does
submit --run open --images gone --team a --out .        | there is no folder gone
submit --run open --images photos --team a --out . --unreadable-as nan | less than or equal to 1
submit --run open --images photos --team ../a --out .   | use letters, digits, - and _
submit --run open --images photos --team a --out . --detector gone | gone holds no detector.json
submit --run open --images photos --team a --out . --detector x --seed 1 | give one of them
submit --run open --images photos --team a --out . --detector x -d photos | give one of them
submission check gone.csv --images photos               | gone.csv cannot be read
submission check photos --images photos                 | photos cannot be read
submission check a.csv --images gone                    | there is no folder gone
submission check a.csv --images photos --against a.csv  | cannot be compared with itself
export --run open --out photos                          | --out photos already exists
export --run open --out new -p folder -d gone           | there is no folder gone
book --profile none                                     | there is no profile 'none'
book --set epochs                                       | is not of the form name=value
chapters run 99                                         | there is no chapter '99'
chapters run 03 --profile none                          | there is no profile 'none'
chapters run 03 --seed -2                               | greater than or equal to 0
data check --profile none                               | there is no profile 'none'
data check --profile folder                             | --data-root
data check --profile folder --data-root gone            | there is no folder gone
data check --profile demo                               | makes its own images: there is nothing to
data check -d photos --out gone/bad.csv                 | the folder of --out gone/bad.csv does
data manifest --profile folder                          | give it with --data-root
data manifest --profile folder -d photos --out photos   | --out photos is a folder; name a file in
data manifest --profile folder -d photos --out /dev/null | is a pipe, socket or device; name a file
data manifest --profile folder -d photos --out a.txt/m  | a.txt/m cannot be written
data manifest --profile folder -d empty                 | there are no images in empty
data card gone                                          | Missing option
weights get nothing                                     | there are no weights 'nothing'
study claims --seeds 1                                  | greater than or equal to 2
study claims --seeds few                                | valid integer
study claims --profile folder                           | give it with --data-root
study claims extra                                      | unexpected extra argument
study magic                                             | No such command 'magic'
study weights --seeds 1                                 | greater than or equal to 2
study weights --profile folder                          | give it with --data-root
study layers --seeds 1                                  | greater than or equal to 2
study corruptions gone                                  | there is no folder gone
study corruptions --images 1                            | greater than or equal to 2
study content gone                                      | there is no folder gone
study content photos --groups 1                         | greater than or equal to 2
study processors magic                                  | there is no variant 'magic'
nonsense                                                | No such command
--nonsense                                              | No such option
"""
ROWS = [tuple(part.strip() for part in row.split(" | ")) for row in TABLE.strip().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("wrong")
    rng = np.random.default_rng(0)
    pictures = (
        "photos/train/real/a photos/train/synthetic/b photos/val/real/c photos/val/synthetic/d "
        "unsorted/a one_class/train/real/a one_class/val/real/b classes/0/a classes/1/b"
    )
    for name in pictures.split():
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(rng, dark=False).save(path)
    for name, content in {
        "a.txt": b"hello", "a.csv": b"image_id,prob,label,threshold\n", "a.json": b"{}",
        "empty.yaml": b"", "list.yaml": b"- 1", "short.yaml": b"name: x",
        "cp1252.yaml": "about: \u00e9".encode("cp1252"),
        "alias.yaml": b"name: &a [1]\nabout: [*a, *a]", "twice.yaml": b"name: a\nname: b",
        "broken_detector/detector.json": b"{}", "broken_detector/trained.safetensors": b"x",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    (root / "empty").mkdir()
    described = json.loads((DEMO_FOLDER / "detector.json").read_text())
    for name, threshold in {"nan": float("nan"), "2": 2, "text": "0.5"}.items():
        shutil.copytree(DEMO_FOLDER, root / f"threshold_{name}")
        (root / f"threshold_{name}" / "SHA256SUMS").unlink(missing_ok=True)
        text = json.dumps(described | {"threshold": threshold})
        (root / f"threshold_{name}" / "detector.json").write_text(text)
    described["head"]["hidden_width"] = 10**40
    shutil.copytree(root / "threshold_2", root / "wide")
    (root / "wide" / "detector.json").write_text(json.dumps(described))
    return root


@pytest.mark.parametrize(("command", "words"), ROWS, ids=[command for command, _ in ROWS])
def test_wrong_use_is_one_sentence(command, words, folder, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LAYERFUSION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "1000")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(sys, "argv", ["layerfusion", *shlex.split(command)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert words in " ".join(said.err.split())
    assert said.out == "" and "Traceback" not in said.err
    if "Usage:" not in said.err:
        assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    # What was read of images stays: it serves the next, right, use.
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(ROWS) >= 80 and all("scanned" in path.parts for path in made)
