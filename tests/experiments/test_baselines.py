"""Each baseline against an independent computation, and the same numbers from the same seed."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from layerfusion.experiments.baselines import lattice, rine, simlbr
from layerfusion.experiments.baselines.choosing import choose, source_groups
from layerfusion.experiments.baselines.features import Features
from layerfusion.experiments.baselines.gradient_descent import (
    TRIES,
    TrainedNetwork,
    shuffled_batches,
    train,
)
from layerfusion.experiments.baselines.lattice import FORMS, Form, Fusion
from layerfusion.experiments.baselines.linear_probe import fit_linear_probe
from layerfusion.experiments.baselines.linear_svm import fit_linear_svm
from layerfusion.experiments.baselines.mold import Mold
from layerfusion.experiments.baselines.neighbours import fit_neighbours
from layerfusion.experiments.baselines.registry import (
    ALL,
    BASELINES,
    FUSIONS,
    differences,
    probes,
    source,
)
from layerfusion.experiments.baselines.rine import (
    PUBLISHED,
    Rine,
    RineSizes,
    fit_rine,
    supervised_contrastive_loss,
)
from layerfusion.experiments.baselines.side_by_side import fit_side_by_side
from layerfusion.model.fusion import LayerFusion

BLOCKS, WIDTH, OUTPUT = 5, 12, 7
SMALL = RineSizes(projections=1, width=32, contrast=0.2)


@pytest.fixture(autouse=True)
def _small_rine(monkeypatch):
    monkeypatch.setitem(PUBLISHED, "small", SMALL)


def draw_features(images, seed=0):
    """Features whose third block tells the labels apart, and the labels."""
    rng = np.random.default_rng(seed)
    label = np.arange(images, dtype=np.int64) % 2
    tokens = rng.normal(size=(images, BLOCKS, WIDTH)).astype(np.float32)
    tokens[:, 2] += 2 * label[:, None]
    last = tokens[:, -1] + label[:, None].astype(np.float32)
    return Features(tokens, last, last[:, :OUTPUT]), label


EVERY = BASELINES | FUSIONS | probes(BLOCKS)
SHORT = {"steps": 60, "variant": "small", "learning_rate": 3e-3, "cost": 1.0, "variance": 10.0}


def fitted(name, features, label, seed=3):
    """A baseline of the registry, with settings of its own kind that take no time."""
    baseline = EVERY[name]
    own = {key: SHORT[key] for key in baseline.tries[0]}
    return baseline.fit(features, label, seed, **own)


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_is_all_that_chance_depends_on(name):
    features, label = draw_features(80)
    torch.manual_seed(1)
    first = fitted(name, features, label).score(features)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    again = fitted(name, features, label).score(features)
    assert first.dtype == np.float32 and first.shape == (80,)
    assert np.array_equal(first, again)
    assert torch.equal(before, torch.random.get_rng_state())
    other = fitted(name, features, label, seed=4).score(features)
    assert np.array_equal(first, other) != EVERY[name].drawn


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_of_an_image_alone_and_greater_for_synthetic_ones(name):
    features, label = draw_features(80)
    found = fitted(name, features, label)
    scores = found.score(features)
    order = np.random.default_rng(1).permutation(80)
    assert found.score(features[order]) == pytest.approx(scores[order], abs=1e-5)
    if name not in {"block-1", "block-2", "block-4"}:  # they know nothing here
        assert scores[label == 1].mean() > scores[label == 0].mean()
    assert found.parameters == 0 or found.parameters > WIDTH // 2


# --- the rule that chooses settings ---------------------------------------------------------------


def test_every_baseline_with_settings_has_as_many_tries():
    assert {len(one.tries) for one in EVERY.values()} == {1, len(TRIES)}
    assert [name for name, one in EVERY.items() if len(one.tries) == 1] == [
        f"nearest-{k}" for k in (1, 3, 5, 9)
    ]


def test_the_best_try_on_held_out_sources_is_chosen_and_no_fit_sees_what_it_scores():
    features, label = draw_features(60)
    groups = np.array([f"{kind} {number % 3}" for number, kind in enumerate(label)])
    seen = []

    class Scores:
        parameters = 1

        def __init__(self, sign):
            self.sign = sign

        def score(self, given):
            seen[-1].append({tuple(row) for row in given.embedding})
            return self.sign * given.tokens[:, 2].mean(axis=1)

    def fit(given, labels, seed, *, sign):
        seen.append([{tuple(row) for row in given.embedding}])
        assert set(labels) == {0, 1}
        return Scores(sign)

    tried = replace(EVERY["mold"], fit=fit, tries=({"sign": -1}, {"sign": 1}, {"sign": 2}))
    choice = choose(tried, features, label, groups)
    assert choice.settings == {"sign": 1}  # of equal ones the first
    assert choice.roc_auc[0] < 0.5 < choice.roc_auc[1] == choice.roc_auc[2]
    whole = {tuple(row) for row in features.embedding}
    assert len(seen) == 6 and all(a.isdisjoint(b) and a | b == whole for a, b in seen)
    rows = {tuple(row): group for row, group in zip(features.embedding, groups, strict=True)}
    for learned, left in seen:
        assert {rows[row] for row in learned}.isdisjoint({rows[row] for row in left})


def test_views_of_one_image_stay_together_where_a_class_has_one_source():
    label, image = np.array([0, 0, 1, 1] * 2), np.array([0, 1, 2, 3] * 2)
    names = np.array(["0 a", "0 b", "1 c", "1 d"] * 2)
    assert source_groups(names, image, label) is names
    assert source_groups(np.where(label, "1 c", names), image, label) is image


def test_a_baseline_without_settings_is_not_tried():
    features, label = draw_features(8)
    choice = choose(EVERY["nearest-1"], features, label, label)
    assert choice.settings == {} and choice.roc_auc == ()


# --- linear probe ---------------------------------------------------------------------------------


def test_the_probe_is_one_layer_on_the_embedding():
    features, label = draw_features(30)
    probe = fit_linear_probe(features, label, 0, learning_rate=1e-4, steps=3)
    weight, bias = probe.model[0].weight.numpy()[0], probe.model[0].bias.numpy()[0]
    assert probe.parameters == OUTPUT + 1
    assert probe.score(features) == pytest.approx(features.embedding @ weight + bias, abs=1e-6)


def test_the_probe_starts_as_published():
    """Of no steps the weights are the first ones: N(0, 0.02²), and no bias."""
    wide = Features(*(np.zeros((2, *shape), np.float32) for shape in ((1, 1), (1,), (4000,))))
    probe = fit_linear_probe(wide, np.array([0, 1]), 0, learning_rate=1e-4, steps=0)
    assert float(probe.model[0].weight.std()) == pytest.approx(0.02, rel=0.05)
    assert float(probe.model[0].bias) == 0


def test_a_step_of_the_probe_is_adamws():
    """Its first step moves every weight by the learning rate, against the gradient's sign."""
    features, label = draw_features(30)
    first = partial(fit_linear_probe, features, label, 0, learning_rate=1e-4)
    before = first(steps=0).model[0].weight.numpy()[0]
    after = first(steps=1).model[0].weight.numpy()[0]
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
    assert not fit_rine(features, label, 0, variant="small", steps=1).model.training


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


def test_rines_entropy_is_summed_over_the_batch_and_its_contrast_is_a_mean():
    features, label = draw_features(10)
    tokens, target = torch.from_numpy(features.tokens), torch.from_numpy(label)
    torch.manual_seed(0)
    model = Rine(SMALL, blocks=BLOCKS, width=WIDTH).eval().requires_grad_(False)
    z = model.embed(tokens)
    p = 1 / (1 + np.exp(-model.classify(z).numpy().astype(float)))
    entropy = -(label * np.log(p) + (1 - label) * np.log(1 - p)).sum()
    contrast = loss_by_hand(z.numpy(), label, rine.TEMPERATURE)
    found = rine.rine_loss(model, 0.2)(tokens, target)
    assert float(found) == pytest.approx(entropy + 0.2 * contrast, rel=1e-5)


# --- MoLD -----------------------------------------------------------------------------------------


def gelu(x):
    return x * ndtr(x)


def test_mold_is_one_logit_a_block_by_hand():
    features, _ = draw_features(9)
    torch.manual_seed(0)
    model = Mold(blocks=BLOCKS, width=WIDTH, hidden=6).requires_grad_(False)
    state = {name: tensor.numpy().astype(float) for name, tensor in model.state_dict().items()}
    expected = np.zeros(9) + state["mix.bias"][0]
    for block in range(BLOCKS):
        hidden = gelu(features.tokens[:, block] @ state["projection.weight"].T
                      + state["projection.bias"])  # fmt: skip
        logit = hidden @ state["to_logit.weight"][0] + state["to_logit.bias"][0]
        expected += state["mix.weight"][0, block] * logit
    assert model(torch.from_numpy(features.tokens)).numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("blocks", "width", "published"), [(12, 768, 394_254),
                                                            (24, 1024, 525_338)])  # fmt: skip
def test_mold_has_the_published_number_of_parameters(blocks, width, published):
    with torch.device("meta"):
        model = Mold(blocks=blocks, width=width, hidden=512)
    assert sum(parameter.numel() for parameter in model.parameters()) == published


# --- SimLBR ---------------------------------------------------------------------------------------


def test_simlbr_mixes_generated_images_with_real_ones_and_leaves_those_alone():
    x = torch.arange(12.0).reshape(4, 3)
    label, share = torch.tensor([0, 1, 0, 1]), torch.tensor([0.6, 0.5, 0.7, 0.8])
    found = simlbr.blended(x, label, share, torch.tensor([2, 0, 2, 2]))
    expected = [x[0], 0.5 * x[1] + 0.5 * x[0], x[2], 0.8 * x[3] + 0.2 * x[2]]
    torch.testing.assert_close(found, torch.stack(expected))


def test_simlbr_learns_from_blends_within_its_shares():
    features, label = draw_features(32)
    seen = []

    class Watching(torch.nn.Module):
        def forward(self, x):
            seen.append(x)
            return x[:, 0]

    torch.manual_seed(0)
    embedding, target = torch.from_numpy(features.next_to_last), torch.from_numpy(label)
    simlbr._loss(Watching())(embedding, target)
    (given,) = seen
    assert torch.equal(given[target == 0], embedding[target == 0])
    for blend, own in zip(given[target == 1], embedding[target == 1], strict=True):
        # The share of a generated image would have to be this, whichever real one it is mixed with.
        reals = embedding[target == 0]
        share = ((blend - reals) * (own - reals)).sum(1) / ((own - reals) ** 2).sum(1)
        rebuilt = share[:, None] * own + (1 - share[:, None]) * reals
        (partner,) = torch.nonzero((rebuilt - blend).abs().amax(1) < 1e-4)[:, 0]
        assert 0.5 <= float(share[partner]) <= 0.8
    everyone_synthetic = torch.ones(4, dtype=torch.int64)
    assert torch.isfinite(simlbr._loss(Watching())(embedding[:4], everyone_synthetic))


# --- nearest neighbours ---------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 99])
def test_the_score_is_a_difference_of_cosine_distances(k):
    features, label = draw_features(20)
    other, _ = draw_features(5, seed=1)
    unit, own = (f.embedding / np.linalg.norm(f.embedding, axis=1, keepdims=True)
                 for f in (features, other))  # fmt: skip
    distance = 1 - own @ unit.T
    to_real, to_synthetic = (np.sort(distance[:, label == c], axis=1)[:, :k].mean(axis=1)
                             for c in (0, 1))  # fmt: skip
    found = fit_neighbours(features, label, 0, k=k).score(other)
    assert found == pytest.approx(to_real - to_synthetic, abs=1e-5)


# --- tokens side by side --------------------------------------------------------------------------


@pytest.mark.parametrize("block", [None, 2])
def test_side_by_side_is_linear_in_layer_normalised_tokens(block):
    features, label = draw_features(60)
    fit = fit_side_by_side(features, label, 0, variance=10.0, block=block)
    tokens = torch.from_numpy(features.tokens)
    tokens = tokens if block is None else tokens[:, [block - 1]]
    x = torch.nn.functional.layer_norm(tokens, (WIDTH,)).flatten(1).numpy().astype(float)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    machine = LogisticRegression(C=10.0 / x.shape[1], max_iter=10_000, tol=1e-8).fit(x, label)
    assert fit.score(features) == pytest.approx(machine.decision_function(x), abs=0.02)
    assert fit.parameters == x.shape[1] + 1


# --- the lattice ----------------------------------------------------------------------------------


def network(form, seed=0, size=6):
    torch.manual_seed(seed)
    return Fusion(form, blocks=BLOCKS, width=WIDTH, size=size).eval().requires_grad_(False)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_computes_what_it_says(form):
    model, tokens = network(form), torch.from_numpy(draw_features(7)[0].tokens)
    if "a" in dict(model.named_parameters()):
        model.a.copy_(torch.randn(model.a.shape))
    h = tokens.double().numpy()[:, -1:] if form.blocks == "last" else tokens.double().numpy()
    if form.tokens == "normed":
        h = (h - h.mean(axis=2, keepdims=True)) / np.sqrt(h.var(axis=2, keepdims=True) + 1e-5)
    model = model.double()
    a = model.a.numpy().reshape(h.shape[1], -1)
    alpha = {"free": (1 + a) / len(a)}.get(form.weights, np.exp(a) / np.exp(a).sum(axis=0))
    z = 0
    for block in range(h.shape[1]):
        place = block if form.projection == "own" else 0
        u = h[:, block] @ model.weight[place].numpy() + model.bias[place].numpy()
        if form.fused == "after":
            u = model.nonlinear(torch.from_numpy(u)).numpy()
        z = z + alpha[block] * u
    if form.fused == "before":
        z = model.nonlinear(torch.from_numpy(z)).numpy()
    expected = z @ model.last.weight.numpy()[0] + model.last.bias.numpy()[0]
    found = model(tokens.double()).numpy()
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_first_form_is_the_papers_head():
    form, tokens = network(Form()), torch.from_numpy(draw_features(7)[0].tokens)
    head = LayerFusion(blocks=BLOCKS, width=WIDTH, projection_width=6, hidden_width=6).eval()
    state = {"block_logits": torch.randn(BLOCKS), "projection.weight": form.weight[0].T,
             "projection.bias": form.bias[0]}  # fmt: skip
    body = form.nonlinear.state_dict() | {f"5.{k}": v for k, v in form.last.state_dict().items()}
    head.load_state_dict(state | {f"classifier.{name}": value for name, value in body.items()})
    form.a.copy_(state["block_logits"])
    torch.testing.assert_close(form(tokens), head(tokens).detach(), atol=1e-6, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["softmax", "equal"]))
def test_fusing_features_after_the_nonlinearity_is_fusing_logits(seed, weights):
    """With one weight a block of sum 1: what MoLD and RINE do are then one function."""
    model = network(Form(weights=weights, fused="after"), seed)
    tokens = torch.from_numpy(draw_features(4, seed)[0].tokens)
    hidden = model.nonlinear(tokens @ model.weight[0] + model.bias[0])
    logits = model.last(hidden)[..., 0]
    expected = (model.alpha()[:, 0] * logits).sum(dim=1)
    torch.testing.assert_close(model(tokens), expected, atol=1e-5, rtol=1e-5)


def test_the_last_block_alone_is_all_that_this_form_reads():
    model, tokens = network(Form(blocks="last")), torch.from_numpy(draw_features(4)[0].tokens)
    changed = tokens.clone()
    changed[:, :-1] = 0
    assert torch.equal(model(tokens), model(changed))


def test_block_weights_learn_faster_and_equal_ones_do_not_learn():
    features, label = draw_features(40)

    def moved(form):
        build = partial(Fusion, form, blocks=BLOCKS, width=WIDTH, size=6)
        model = train(build, "tokens", features, label, 0, learning_rate=1e-3, steps=1).model
        return float(model.a.abs().max())

    assert moved(Form()) == pytest.approx(0.1, rel=1e-3)  # Adam's first step is the learning rate
    assert moved(Form(weights="equal")) == 0


def test_forms_are_distinct_and_steps_are_of_one_change():
    assert len({form.name for form in FORMS}) == len({form.text for form in FORMS}) == len(FORMS)
    found = list(lattice.steps())
    for one, other, change in found:
        both = set(one.changes.items()) ^ set(other.changes.items())
        assert len(both) == 1 and lattice.WORDS[both.pop()] == change
    reached = {Form()} | {other for _, other, _ in found}
    assert reached == set(FORMS)


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
        assert source(baseline).endswith(".")
        assert differences(baseline)
        assert all(item.endswith(".") and "\n" not in item for item in differences(baseline))
