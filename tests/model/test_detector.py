"""The detector as a whole: counts, what training may change, saving and loading."""

import json
import shutil

import pytest
import torch

from conftest import tiny_detector
from layerfusion.errors import UserError
from layerfusion.files import write_checksums
from layerfusion.model.detector import Detector
from layerfusion.model.folder import DESCRIPTION, TRAINED, read_trained_tensors
from layerfusion.paths import runs_root
from layerfusion.scoring.detectors import DEFAULT_FOLDER, DEMO_FOLDER
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings, load_profile
from layerfusion.training.loop import build_optimizer


@pytest.fixture
def folder():
    """Below the folder of runs: a detector there is the user's own, and may name a weights file."""
    made = runs_root() / "open" / "detector"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def detector():
    return tiny_detector()


def images_of(detector, count=3):
    side = detector.image_settings.crop
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


@pytest.fixture(scope="module")
def full_size():
    profile = load_profile("paper", {"encoder.weights": "random"})
    return Detector.build(profile.encoder, profile.head, profile.images)


def test_parameter_counts_at_full_size(full_size):
    block = 12 * 1024**2 + 13 * 1024
    embedding = 3 * 14 * 14 * 1024 + 1024 + 257 * 1024 + 2 * 1024
    after = 2 * 1024 + 1024 * 768
    assert full_size.parameter_counts() == {
        "frozen": embedding + 22 * block + after,
        "trained_blocks": 2 * block,
        "head": 328_985,
    }


def test_a_training_step_at_full_size_changes_the_last_two_blocks_and_the_head(full_size):
    before = {name: p.detach().clone() for name, p in full_size.named_parameters()}
    parameters = list(full_size.trained_parameters().values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    full_size.train()
    logits = full_size(images_of(full_size, 2))
    torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.tensor([0.0, 1.0])
    ).backward()
    optimizer.step()
    changed = {n for n, p in full_size.named_parameters() if not torch.equal(p, before[n])}
    expected = {
        name
        for name in before
        if name.startswith("head.") or ".resblocks.22." in name or ".resblocks.23." in name
    }
    assert changed == expected


def test_images_are_normalised_with_clips_statistics(detector):
    images = images_of(detector)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    expected = detector.head(detector.encoder((images / 255 - mean) / std))
    torch.testing.assert_close(detector(images), expected)


def test_logits_are_float32_under_autocast(detector):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert detector(images_of(detector)).dtype == torch.float32


def test_the_head_is_drawn_from_the_seed():
    one, again, other = (tiny_detector(seed).head.projection.weight for seed in (4, 4, 5))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_save_and_load_give_the_same_scores(detector, folder):
    with torch.no_grad():
        for parameter in detector.trained_parameters().values():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    detector.threshold, detector.notice = 0.0123, "for tests"
    detector.save(folder)
    loaded, images = Detector.load(folder), images_of(detector)
    assert torch.equal(loaded(images), detector(images))
    assert (loaded.threshold, loaded.notice) == (0.0123, "for tests")
    assert loaded.activation == "quick_gelu" and not loaded.training
    assert sorted(path.name for path in folder.iterdir()) == [
        "detector.json",
        "trained.safetensors",
    ]


def test_only_what_was_trained_is_saved(detector, folder):
    detector.save(folder)
    counts = detector.parameter_counts()
    scalars = counts["head"] + counts["trained_blocks"]
    assert (folder / "trained.safetensors").stat().st_size < 4 * scalars + 10_000


def test_a_detector_from_elsewhere_names_no_file(detector, folder, tmp_path):
    detector.save(tmp_path)
    with pytest.raises(UserError, match="a detector from elsewhere may name"):
        Detector.load(tmp_path)
    shutil.copytree(tmp_path, folder, ignore=lambda *_: ["runs"], dirs_exist_ok=True)
    images = images_of(detector)
    assert torch.equal(Detector.load(folder)(images), detector(images))


@pytest.mark.parametrize("name", [DESCRIPTION, TRAINED, "SHA256SUMS", "validation.csv"])
def test_a_detector_from_elsewhere_links_to_nothing_outside(name, tmp_path):
    folder = shutil.copytree(DEMO_FOLDER, tmp_path / "theirs")
    mine = tmp_path / "mine"
    (folder / name).rename(mine) if (folder / name).exists() else mine.write_text("mine")
    (folder / name).symlink_to(mine)
    with pytest.raises(UserError, match=f"{name} is a link that leads out"):
        Detector.load(folder)


def test_the_hubs_cache_is_one_folder_of_links(tmp_path):
    snapshot, blobs = tmp_path / "models--me--it" / "snapshots" / "1", tmp_path / "models--me--it/b"
    shutil.copytree(DEMO_FOLDER, blobs)
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../b/{blob.name}")
    assert Detector.load(snapshot).threshold == Detector.load(DEMO_FOLDER).threshold


def test_a_long_description_is_refused_before_anything_is_made_of_it(tmp_path):
    folder = shutil.copytree(DEMO_FOLDER, tmp_path / "theirs")
    description = json.loads((folder / DESCRIPTION).read_text())
    description["head"]["reads"] = [0.5] * 10**6  # each would be an error of a kilobyte
    (folder / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(UserError, match="too long for a detector's description"):
        Detector.load(folder)


def test_other_frozen_weights_are_refused(detector, folder):
    detector.save(folder)
    description = json.loads((folder / "detector.json").read_text())
    description["encoder"]["random_seed"] = 99
    (folder / "detector.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match="are not those that the detector"):
        Detector.load(folder)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("detector.json", None, "holds no detector.json"),
        ("detector.json", "{", "not a valid detector's description"),
        ("detector.json", '{"format": 1}', "not a valid detector's description"),
        ("trained.safetensors", None, "cannot be read as trained tensors"),
        ("trained.safetensors", "damaged", "cannot be read as trained tensors"),
    ],
)
def test_missing_and_damaged_files_are_named(detector, folder, file, content, words):
    detector.save(folder)
    (folder / file).unlink() if content is None else (folder / file).write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        Detector.load(folder)
    assert "\n" not in str(caught.value)


def test_tensors_of_other_settings_are_refused(detector):
    tensors = dict(detector.trained_parameters())
    with pytest.raises(UserError, match="missing, unknown or of another shape"):
        detector.restore({n: t for n, t in tensors.items() if n != "head.block_logits"})
    with pytest.raises(UserError, match="block_logits"):
        detector.restore({**tensors, "head.block_logits": torch.zeros(5)})


def test_crop_must_fit_the_tower():
    encoder = EncoderSettings(model="demo-tiny", weights="random")
    with pytest.raises(UserError, match="crop=48"):
        Detector.build(encoder, HeadSettings(), ImageSettings())


# --- the ablation: the last block alone -----------------------------------------------------------


@pytest.fixture
def last_block():
    return tiny_detector(**{"head.blocks": "last"})


def test_the_ablation_reads_the_last_class_token_alone(detector, last_block):
    images = images_of(detector)
    pixels = (images.float() / 255 - last_block.mean) / last_block.std
    h = last_block.encoder(pixels)[:, -1]
    logits = last_block.head.classifier(last_block.head.projection(h)).squeeze(-1)
    torch.testing.assert_close(last_block(images), logits)
    assert last_block.block_weights() == [1.0]
    assert not torch.equal(last_block(images), detector(images))


def test_the_ablation_differs_in_the_number_of_blocks_alone(detector, last_block):
    ours, paper = dict(last_block.named_parameters()), dict(detector.named_parameters())
    assert ours.keys() == paper.keys()
    assert {name for name in ours if not torch.equal(ours[name], paper[name])} == {
        "head.block_logits"
    }
    assert {n for n, p in ours.items() if p.requires_grad} == set(detector.trained_parameters())


# --- the other one: every block weighs 1/L --------------------------------------------------------


@pytest.fixture
def equal_weights():
    return tiny_detector(**{"head.blocks": "mean"})


def test_equal_weights_are_the_papers_head_before_it_learned_any(detector, equal_weights):
    images = images_of(detector)
    assert torch.equal(equal_weights(images), detector(images))
    assert equal_weights.block_weights() == [pytest.approx(1 / 4)] * 4


def test_equal_weights_are_no_parameters(detector, equal_weights, folder):
    ours, paper = equal_weights.trained_parameters(), detector.trained_parameters()
    assert paper.keys() - ours.keys() == {"head.block_logits"} and ours.keys() <= paper.keys()
    counts, full = equal_weights.parameter_counts(), detector.parameter_counts()
    assert counts == full | {"head": full["head"] - 4}
    equal_weights.save(folder)
    assert read_trained_tensors(folder).keys() == ours.keys()


@pytest.mark.parametrize(("blocks", "weights"), [("last", [1.0]), ("mean", [0.25] * 4)])
def test_ablations_are_saved_and_their_weights_stay_however_long_they_are_trained(
    tiny_profile, folder, blocks, weights
):
    detector = tiny_detector(**{"head.blocks": blocks})
    optimizer = build_optimizer(detector, tiny_profile.training)
    for _ in range(3):
        detector(images_of(detector)).sum().backward()
        optimizer.step()
    assert detector.block_weights() == weights
    detector.save(folder)
    loaded, images = Detector.load(folder), images_of(detector)
    assert loaded.head_settings.blocks == blocks
    assert torch.equal(loaded(images), detector(images))


def test_block_weights_may_move_at_a_rate_of_their_own(tiny_profile):
    images = images_of(tiny_detector())

    def moved(**rate):
        detector = tiny_detector().eval()  # no dropout
        optimizer = build_optimizer(detector, tiny_profile.training.model_copy(update=rate))
        detector(images).sum().backward()
        optimizer.step()
        trained = [one for group in optimizer.param_groups for one in group["params"]]
        assert {id(one) for one in trained} == {
            id(one) for one in detector.trained_parameters().values()
        }
        return detector.head.block_logits.abs().max().item(), detector.head.projection.weight

    (usual, same), (faster, weight) = moved(), moved(block_weights_learning_rate=0.1)
    assert faster == pytest.approx(0.1, rel=0.01) and usual < 0.01
    torch.testing.assert_close(same, weight)


def test_a_rate_of_block_weights_that_are_not_learned_is_refused(tiny_profile):
    given = tiny_profile.training.model_copy(update={"block_weights_learning_rate": 0.1})
    with pytest.raises(UserError, match="learns none"):
        build_optimizer(tiny_detector(**{"head.blocks": "mean"}), given)


def test_a_head_of_tokens_side_by_side_learns_and_is_saved(tiny_profile, folder):
    detector = tiny_detector(**{"head.kind": "tokens"})
    before = detector.head.linear.weight.detach().clone()
    detector(images_of(detector)).sum().backward()
    build_optimizer(detector, tiny_profile.training).step()
    assert not torch.equal(detector.head.linear.weight, before)
    assert sum(detector.block_weights()) == pytest.approx(1)
    detector.save(folder)
    loaded, images = Detector.load(folder), images_of(detector)
    assert loaded.head_settings.kind == "tokens"
    assert torch.equal(loaded(images), detector(images))


# --- normalisation -------------------------------------------------------------------------------

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def test_chosen_statistics_are_used_and_saved(detector, folder):
    built = tiny_detector(**{f"encoder.{name}": value for name, value in HALF.items()})
    images = images_of(built)
    expected = detector.head(detector.encoder(images / 127.5 - 1))
    torch.testing.assert_close(built(images), expected, rtol=1e-5, atol=1e-5)
    built.save(folder)
    saved = json.loads((folder / "detector.json").read_text())["encoder"]
    assert saved["mean"] == saved["std"] == [0.5, 0.5, 0.5]
    assert torch.equal(Detector.load(folder)(images), built(images))


def test_a_detector_saved_before_some_settings_reads_all_blocks_and_sees_openais_pixels(
    detector, folder, monkeypatch
):
    detector.save(folder)
    description = json.loads((folder / "detector.json").read_text())
    assert description["head"].pop("blocks") == "all"
    del description["encoder"]["mean"], description["encoder"]["std"]
    (folder / "detector.json").write_text(json.dumps(description))
    # Even where the weights' own are others, for that is what it was trained with.
    monkeypatch.setattr("layerfusion.model.weights.OPENAI", (HALF["mean"], HALF["std"]))
    images = images_of(detector)
    assert torch.equal(Detector.load(folder)(images), detector(images))


@pytest.mark.parametrize("wrong", [{"std": (1, 0, 1)}, {"mean": (0.5, 0.5)}, {"mean": "half"}])
def test_statistics_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError, match="setting 'encoder"):
        tiny_detector(**{f"encoder.{name}": value for name, value in wrong.items()})


def test_a_changed_byte_in_a_folder_with_checksums_is_found(detector, folder):
    detector.save(folder)
    write_checksums(folder)
    Detector.load(folder)
    data = bytearray((folder / TRAINED).read_bytes())
    data[-3] ^= 1
    (folder / TRAINED).write_bytes(data)
    with pytest.raises(UserError, match="SHA256SUMS beside it names"):
        Detector.load(folder)
    detector.save(folder)  # what is written anew is known by no checksum
    Detector.load(folder)


@pytest.mark.parametrize("folder", [DEMO_FOLDER, DEFAULT_FOLDER])
def test_what_is_shipped_has_checksums_of_everything(folder):
    said = (folder / "SHA256SUMS").read_text().splitlines()
    assert {line.split()[1] for line in said} == {
        path.name for path in folder.iterdir() if path.name != "SHA256SUMS"
    }
    read_trained_tensors(folder)
