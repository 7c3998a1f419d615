"""The training of the demo world's generators: it learns, repeats, and what it saves is loaded."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

import train_generator as training
from layerfusion.demo import generators
from layerfusion.demo.generators import GENERATORS, DiffusionDesign, load_generator
from layerfusion.errors import UserError
from train_generator import (
    TRAININGS,
    save_generator,
    total_steps,
    train_and_save,
    train_generator,
    training_photographs,
)


def tiny(name, **changes):
    """A design and a training of the same kind, so small that it takes a second."""
    design = replace(GENERATORS[name], latent_channels=4, widths=(8, 8, 8, 8))
    training = replace(TRAININGS[name], steps=40, batch=4, crop=16, learning_rate=1e-2)
    if design.codes:
        design = replace(design, codes=16)
    if design.diffusion:
        design = replace(design, diffusion=DiffusionDesign(width=8, blocks=1))
        training = replace(training, denoiser_steps=80, denoiser_learning_rate=1e-2)
    return design, replace(training, **changes)


@pytest.fixture
def pool():
    return training_photographs(6, side=32, seed=7)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_training_lowers_the_loss_and_can_be_repeated_bit_for_bit(name, pool):
    tried, reported = tiny(name), []
    first = train_generator(
        *tried, photographs=pool, seed=3, progress=lambda *done: reported.append(done)
    )
    before = torch.random.get_rng_state()
    second = train_generator(*tried, photographs=pool, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)  # the caller's stream is left alone
    assert first.losses == second.losses
    for tensor, same in zip(
        first.generator.state_dict().values(), second.generator.state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, same)
    for losses in first.losses.values():
        assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    assert reported[-1] == (total_steps(tried[1]), total_steps(tried[1]))


def test_an_unknown_generator_is_named_before_any_other_is_trained():
    with pytest.raises(UserError, match="no generator 'dall-e'"):
        training.main(["vae-nearest", "dall-e"])


def test_another_seed_trains_another_generator(pool):
    tried = tiny("vae-nearest", steps=2)
    first, second = (train_generator(*tried, photographs=pool, seed=seed) for seed in (0, 1))
    assert first.losses != second.losses


def test_a_loss_that_is_no_number_ends_the_training(pool):
    tried = tiny("vae-nearest", steps=20, learning_rate=1e30)
    with pytest.raises(UserError, match=r"loss of vae-nearest is nan.*learning_rate"):
        train_generator(*tried, photographs=pool, seed=0)


def test_what_is_trained_and_saved_is_what_is_loaded(tmp_path, monkeypatch):
    tried = design, plan = tiny("latent-diffusion", steps=3)
    monkeypatch.setitem(training.TRAININGS, design.name, plan)
    monkeypatch.setitem(generators.GENERATORS, design.name, design)
    monkeypatch.setattr(training, "PHOTOGRAPHS", 3)
    monkeypatch.setattr(training, "SIDE", 32)
    path = train_and_save(design.name, seed=5, folder=tmp_path / "new")
    assert path == tmp_path / "new" / "latent-diffusion.safetensors"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    with safe_open(path, framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
        assert file.metadata()["seed"] == "5"
        assert json.loads(file.metadata()["final_losses"]).keys() == {"autoencoder", "denoiser"}
    pictures = training_photographs(3, side=32, seed=5)
    trained = train_generator(*tried, photographs=pictures, seed=5)
    save_generator(trained, tmp_path)
    rounded = trained.generator.half().float().generate(pictures, seeds=[1, 2, 3])
    monkeypatch.setattr(generators, "WEIGHTS_FOLDER", path.parent)
    loaded = load_generator(design.name)
    np.testing.assert_array_equal(loaded.generate(pictures, seeds=[1, 2, 3]), rounded)


def test_the_first_photographs_do_not_depend_on_how_many_are_taken():
    few, many = (training_photographs(count, side=32, seed=1) for count in (2, 4))
    np.testing.assert_array_equal(few, many[:2])
    assert (training_photographs(2, side=32, seed=2) != few).any()
