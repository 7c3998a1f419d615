"""The demo's OpenCLIP model: its words, its pairs, its training and what it understands."""

from dataclasses import replace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch

import clip_model
import train_encoder
from clip_evaluation import evaluate_clip
from clip_model import CROP, build_clip, load_clip, normalise, save_clip
from clip_pairs import draw_pairs
from clip_tokens import CONTEXT_LENGTH, END, VOCABULARY_SIZE, tokenize
from layerfusion.demo.scenes import WORDS
from layerfusion.errors import UserError
from layerfusion.model.weights import build_tower, embedded_weights, model_config, resolved
from layerfusion.paths import project_root, runs_root
from layerfusion.progress import Reporter
from layerfusion.settings import EncoderSettings
from train_encoder import ClipTraining, main, train_clip

TINY = ClipTraining(
    pairs=8, batch_size=4, steps=4, warmup_steps=1, decay_steps=1, checkpoint_steps=1
)
VISION = {"image_size": 64, "layers": 2, "width": 16, "head_width": 16, "patch_size": 16}


@pytest.fixture
def tiny_towers(monkeypatch):
    config = model_config("clip-nano")
    text = config["text_cfg"] | {"width": 16, "heads": 1, "layers": 1}
    tiny = config | {"vision_cfg": VISION, "text_cfg": text}
    monkeypatch.setattr(clip_model, "model_config", lambda name: tiny)


def train(path, settings=TINY):
    return train_clip(settings, checkpoint=path, reporter=Reporter()).state_dict()


def test_words_become_tokens_and_the_end_is_the_largest():
    tokens = tokenize(["photo of two red balls", "photo"])
    assert tokens.shape == (2, CONTEXT_LENGTH)
    assert tokens.argmax(dim=1).tolist() == [6, 2]
    assert tokens.max() == END == VOCABULARY_SIZE - 1
    assert (tokens[1, 3:] == 0).all()


@pytest.mark.parametrize("caption", ["photo of a zebra", " ".join(["photo"] * CONTEXT_LENGTH)])
def test_captions_that_the_text_tower_cannot_read_are_refused(caption):
    with pytest.raises(UserError, match="caption"):
        tokenize([caption])


def test_the_model_config_fits_the_vocabulary_and_loads_by_name():
    text = model_config("clip-nano")["text_cfg"]
    assert (text["vocab_size"], text["context_length"]) == (len(WORDS) + 3, CONTEXT_LENGTH)
    assert model_config("clip-nano")["vision_cfg"]["layers"] >= 12
    assert isinstance(open_clip.create_model("clip-nano", load_weights=False), open_clip.CLIP)


def test_pairs_repeat_and_fit_a_crop():
    pairs = draw_pairs([0, 1], 6)
    again = draw_pairs([0, 1], 3)
    for pair in pairs:
        assert pair.picture.dtype == np.uint8
        assert min(pair.picture.shape[:2]) >= CROP
        assert set(pair.caption().split()) <= set(WORDS)
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(pairs, again, strict=False))
    assert len({pair.caption() for pair in pairs}) == 6


@pytest.mark.usefixtures("tiny_towers")
def test_training_repeats_bit_for_bit_and_resumes(tmp_path, monkeypatch):
    whole = train(tmp_path / "one")

    calls = []

    def stop(path, settings, *rest):
        save(path, settings, *rest)  # type: ignore[arg-type]
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt

    save = train_encoder._save_checkpoint
    monkeypatch.setattr(train_encoder, "_save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "two")
    monkeypatch.setattr(train_encoder, "_save_checkpoint", save)
    resumed = train(tmp_path / "two")

    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    other = train(tmp_path / "three", replace(TINY, seed=1))
    assert not torch.equal(whole["visual.proj"], other["visual.proj"])


@pytest.mark.usefixtures("tiny_towers")
def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path):
    train(tmp_path / "one", replace(TINY, seed=1))
    one, two = train(tmp_path / "one"), train(tmp_path / "two")
    assert torch.equal(one["visual.proj"], two["visual.proj"])


def test_the_learning_rate_rises_stays_and_falls():
    settings = ClipTraining()
    rates = [settings.rate(step) for step in range(settings.steps)]
    assert max(rates) == settings.learning_rate
    assert 0 < rates[0] < settings.learning_rate / 10
    assert 0 < rates[-1] < settings.learning_rate / 10
    assert settings.shortened(100).steps == 100


def test_what_is_saved_is_what_is_loaded_to_16_bits(tmp_path):
    torch.manual_seed(0)
    model = build_clip().eval()
    save_clip(model, tmp_path / "clip.safetensors")
    loaded = load_clip(tmp_path / "clip.safetensors")
    images = normalise(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    with torch.inference_mode():
        assert torch.allclose(model.encode_image(images), loaded.encode_image(images), atol=0.05)


def test_the_detector_reads_the_shipped_visual_tower():
    settings = EncoderSettings(model="clip-nano", weights="embedded")
    tower = build_tower(settings)
    assert resolved(settings).activation == "quick_gelu"
    assert embedded_weights("clip-nano").stat().st_size <= 12e6
    images = normalise(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    with torch.inference_mode():
        whole = load_clip().encode_image(images)
        assert torch.allclose(tower.eval()(images), whole, atol=1e-5)


@pytest.mark.usefixtures("tiny_towers")
def test_the_command_trains_writes_and_measures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ClipTraining, "shortened", lambda self, steps: TINY)
    monkeypatch.setattr(train_encoder, "evaluate_clip", lambda clip: evaluate_clip(clip, pairs=20))
    main(["--steps", "2", "--out", str(tmp_path / "clip.safetensors")])
    assert "caption" in capsys.readouterr().out
    assert (runs_root() / "demo" / "clip-nano.checkpoint").is_file()
    assert load_clip(tmp_path / "clip.safetensors").logit_scale.isfinite()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--steps", "2"], "--out"), (["--out", "no/where.safetensors"], "does not exist")],
)
def test_a_trial_does_not_replace_the_shipped_weights(arguments, message):
    with pytest.raises(UserError, match=message):
        main(arguments)


PUBLISHED = project_root() / "runs" / "reference" / "demo" / "clip-nano.csv"


@pytest.mark.parametrize("source", ["measured here", "published"])
def test_the_shipped_model_understands_held_out_scenes(source):
    """Above chance; 800 steps teach colours and textures, not yet outlines."""
    table = (
        pd.read_csv(PUBLISHED) if source == "published" else evaluate_clip(load_clip(), pairs=250)
    )
    table = table.set_index("task")
    gain = table["top1"] / table["chance"]
    assert (gain[["colour", "ground", "backdrop", "light"]] > 1.5).all()
    assert gain["caption"] > 20
    assert gain["shape"] < 3
