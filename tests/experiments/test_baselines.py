"""Each baseline against an independent computation, and the same numbers from the same seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import TrainedNetwork, shuffled_batches
from layerfusion.experiments.baselines.linear_probe import fit_linear_probe
from layerfusion.experiments.baselines.linear_svm import fit_linear_svm
from layerfusion.experiments.baselines.registry import ALL, BASELINES, differences, source
from layerfusion.experiments.baselines.rine import (
    PUBLISHED,
    Rine,
    RineSizes,
    fit_rine,
    supervised_contrastive_loss,
)

BLOCKS, WIDTH, OUTPUT = 5, 12, 7
SMALL = RineSizes(projections=1, width=32, contrast=0.2, steps=30)


def draw_features(images, seed=0):
    """Features whose third block tells the labels apart, and the labels."""
    rng = np.random.default_rng(seed)
    label = np.arange(images, dtype=np.int64) % 2
    tokens = rng.normal(size=(images, BLOCKS, WIDTH)).astype(np.float32)
    tokens[:, 2] += 2 * label[:, None]
    last = tokens[:, -1] + label[:, None].astype(np.float32)
    return Features(tokens, last, last[:, :OUTPUT]), label


SHORT = {
    "linear-probe": lambda *given: fit_linear_probe(*given, steps=40),
    "linear-svm": fit_linear_svm,
    "rine": lambda *given: fit_rine(*given, sizes=SMALL),
}


def test_every_baseline_is_tested_here():
    assert SHORT.keys() == BASELINES.keys()


@pytest.mark.parametrize("name", SHORT)
def test_a_seed_is_all_that_chance_depends_on(name):
    features, label = draw_features(80)
    torch.manual_seed(1)
    first = SHORT[name](features, label, 3).score(features)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    again = SHORT[name](features, label, 3).score(features)
    assert first.dtype == np.float32 and first.shape == (80,)
    assert np.array_equal(first, again)
    assert torch.equal(before, torch.random.get_rng_state())
    other = SHORT[name](features, label, 4).score(features)
    assert np.array_equal(first, other) == (name == "linear-svm")


@pytest.mark.parametrize("name", SHORT)
def test_scores_are_of_an_image_alone_and_greater_for_synthetic_ones(name):
    features, label = draw_features(80)
    fitted = SHORT[name](features, label, 3)
    scores = fitted.score(features)
    order = np.random.default_rng(1).permutation(80)
    assert fitted.score(features[order]) == pytest.approx(scores[order], abs=1e-5)
    assert scores[label == 1].mean() > scores[label == 0].mean()


# --- linear probe ---------------------------------------------------------------------------------


def test_the_probe_is_one_layer_on_the_embedding():
    features, label = draw_features(30)
    probe = fit_linear_probe(features, label, 0, steps=3)
    weight, bias = probe.model[0].weight.numpy()[0], probe.model[0].bias.numpy()[0]
    assert probe.parameters == OUTPUT + 1
    assert probe.score(features) == pytest.approx(features.embedding @ weight + bias, abs=1e-6)


def test_the_probe_starts_as_published():
    """Of no steps the weights are the first ones: N(0, 0.02²), and no bias."""
    wide = Features(*(np.zeros((2, *shape), np.float32) for shape in ((1, 1), (1,), (4000,))))
    probe = fit_linear_probe(wide, np.array([0, 1]), 0, steps=0)
    assert float(probe.model[0].weight.std()) == pytest.approx(0.02, rel=0.05)
    assert float(probe.model[0].bias) == 0


def test_a_step_of_the_probe_is_adamws():
    """Its first step moves every weight by the learning rate, against the gradient's sign."""
    features, label = draw_features(30)
    before = fit_linear_probe(features, label, 0, steps=0).model[0].weight.numpy()[0]
    after = fit_linear_probe(features, label, 0, steps=1).model[0].weight.numpy()[0]
    (rows,) = shuffled_batches(30, size=256, steps=1, seed=0)
    x, y = features.embedding[rows], label[rows]
    residual = 1 / (1 + np.exp(-(x @ before))) - y
    assert after - before == pytest.approx(-1e-4 * np.sign(residual @ x), rel=1e-2)


# --- support vector machine -----------------------------------------------------------------------


def test_the_machine_is_scikit_learns_on_features_of_length_one():
    features, label = draw_features(60)
    fitted = fit_linear_svm(features, label, 0)
    unit = features.next_to_last / np.linalg.norm(features.next_to_last, axis=1, keepdims=True)
    expected = LinearSVC(dual=False).fit(unit, label).decision_function(unit)
    assert fitted.score(features) == pytest.approx(expected, abs=1e-3)
    assert fitted.parameters == WIDTH + 1


# --- RINE -----------------------------------------------------------------------------------------


def relu_layers(modules, x):
    """Pass x through linear layers, each with ReLU, as evaluation does: without dropout."""
    for layer in (module for module in modules if isinstance(module, torch.nn.Linear)):
        x = np.maximum(x @ layer.weight.numpy().T + layer.bias.numpy(), 0)
    return x


def test_rine_weighs_every_feature_of_every_block_by_hand():
    features, _ = draw_features(9)
    torch.manual_seed(0)
    model = Rine(SMALL, blocks=BLOCKS, width=WIDTH).eval().requires_grad_(False)
    a = model.importance.numpy().astype(float)
    alpha = np.exp(a) / np.exp(a).sum(axis=0)
    assert alpha.shape == (BLOCKS, SMALL.width) and alpha.sum(axis=0) == pytest.approx(1)
    mixed = np.zeros((9, SMALL.width))
    for block in range(BLOCKS):
        mixed += alpha[block] * relu_layers(model.q1, features.tokens[:, block])
    z = relu_layers(model.q2, mixed)
    *hidden, last = model.head
    expected = relu_layers(hidden, z) @ last.weight.numpy()[0] + last.bias.numpy()[0]
    tokens = torch.from_numpy(features.tokens)
    logits, found = model(tokens), model.embed(tokens)
    assert found.numpy() == pytest.approx(z, abs=1e-5)
    assert logits.numpy() == pytest.approx(expected, abs=1e-5)
    assert TrainedNetwork(model, "tokens").score(features) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_rine_has_the_published_number_of_parameters(variant):
    """Of ViT-L/14: A; q layers to d' in Q1, from 1024, and in Q2; a head of two layers and one."""
    q, d = PUBLISHED[variant].projections, PUBLISHED[variant].width
    with torch.device("meta"):
        model = Rine(PUBLISHED[variant], blocks=24, width=1024)
    expected = 24 * d + (1024 * d + d) + (2 * q - 1 + 2) * (d * d + d) + d + 1
    assert TrainedNetwork(model, "tokens").parameters == expected


def test_rine_drops_features_in_training_alone():
    features, label = draw_features(8)
    tokens = torch.from_numpy(features.tokens)
    model = Rine(SMALL, blocks=BLOCKS, width=WIDTH).train()
    assert not torch.equal(model.embed(tokens), model.embed(tokens))
    model.eval()
    assert torch.equal(model.embed(tokens), model.embed(tokens))
    assert not fit_rine(features, label, 0, sizes=replace(SMALL, steps=1)).model.training


def loss_by_hand(z, label, temperature):
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    found = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        total = sum(np.exp(u[i] @ u[a] / temperature) for a in others)
        positive = [p for p in others if label[p] == label[i]]
        if positive:
            logs = [np.log(np.exp(u[i] @ u[p] / temperature) / total) for p in positive]
            found.append(-np.mean(logs))
    return np.mean(found) if found else 0.0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=2, max_size=9),
    st.integers(0, 1000),
    st.sampled_from([0.07, 0.5, 1.0]),
)
def test_the_contrastive_loss_is_that_of_its_formula(label, seed, temperature):
    z = np.random.default_rng(seed).normal(size=(len(label), 4))
    found = supervised_contrastive_loss(
        torch.from_numpy(z), torch.tensor(label), temperature=temperature
    )
    assert float(found) == pytest.approx(loss_by_hand(z, label, temperature), rel=1e-9, abs=1e-12)


def test_the_contrastive_loss_has_a_gradient_where_a_label_is_alone():
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    supervised_contrastive_loss(z, torch.tensor([0, 1, 1, 1])).backward()
    assert torch.isfinite(z.grad).all() and z.grad.abs().sum() > 0


def test_contrast_draws_images_of_one_label_together():
    features, label = draw_features(64)
    tokens = torch.from_numpy(features.tokens)
    losses = []
    for contrast in (0.0, 2.0):
        sizes = replace(SMALL, contrast=contrast, steps=60)
        z = fit_rine(features, label, 0, sizes=sizes).model.embed(tokens)
        losses.append(float(supervised_contrastive_loss(z, torch.from_numpy(label))))
    assert losses[1] < losses[0]


# --- batches --------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 20), st.integers(0, 5))
def test_every_image_comes_once_before_any_comes_again(images, size, steps, seed):
    batches = list(shuffled_batches(images, size=size, steps=steps, seed=seed))
    assert [len(batch) for batch in batches] == [size] * steps
    rows = torch.cat(batches).tolist() if batches else []
    for start in range(0, len(rows), images):
        order = rows[start : start + images]
        assert len(set(order)) == len(order) and set(order) <= set(range(images))


# --- the registry ---------------------------------------------------------------------------------


def test_every_baseline_says_whose_it_is_and_how_it_differs():
    assert len({baseline.name for baseline in ALL}) == len(ALL)
    for baseline in ALL:
        assert any(year in source(baseline) for year in ("2023", "2024"))
        assert len(differences(baseline)) >= 3
        assert all(item.endswith(".") and "\n" not in item for item in differences(baseline))
