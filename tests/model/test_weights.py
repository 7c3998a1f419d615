"""Every place that encoder weights can come from, and what is said when they cannot."""

import json
import warnings
from types import SimpleNamespace

import open_clip
import psutil
import pytest
import torch
from safetensors.torch import save_file

from layerfusion.errors import UserError
from layerfusion.model.weight_files import tensors_sha256
from layerfusion.model.weights import build_tower, encoder_identity, resolved
from layerfusion.settings import EncoderSettings


class Archive(torch.nn.Module):
    """As OpenAI publishes CLIP: the visual tower's tensors in half precision, traced."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual

    def forward(self, images):
        return self.visual(images)


@pytest.fixture(scope="module")
def clip():
    torch.manual_seed(7)
    return open_clip.create_model("demo-tiny", load_weights=False).eval()


def write_archive(clip, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Archive(clip.visual), torch.zeros(1, 3, 48, 48), check_trace=False)
        traced.save(path)


def write(kind, clip, folder):
    tensors = {name: t.contiguous() for name, t in clip.state_dict().items()}
    path = folder / {"archive": "openai.pt", "safetensors": "a.safetensors"}.get(kind, "b.pt")
    if kind == "archive":
        write_archive(clip, path)
    elif kind == "safetensors":
        save_file(tensors, path)
    elif kind == "checkpoint":
        named = {f"module.{name}": tensor for name, tensor in tensors.items()}
        torch.save({"epoch": 3, "state_dict": named}, path)
    elif kind == "tower alone":
        torch.save(clip.visual.state_dict(), path)
    return str(path)


@pytest.mark.parametrize("kind", ["archive", "safetensors", "checkpoint", "tower alone"])
def test_local_files_of_every_kind_fill_the_tower(kind, clip, tmp_path):
    path = write(kind, clip, tmp_path)
    tower = build_tower(EncoderSettings(model="demo-tiny", weights=path))
    for name, tensor in clip.visual.state_dict().items():
        torch.testing.assert_close(tower.state_dict()[name], tensor)
    images = torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(tower.eval()(images), clip.visual(images))


def test_random_weights_depend_on_their_seed_alone():
    def drawn(seed):
        torch.rand(seed + 1)  # whatever was drawn before
        settings = EncoderSettings(model="demo-tiny", weights="random", random_seed=seed)
        return tensors_sha256(build_tower(settings).state_dict())

    assert drawn(0) == drawn(0) != drawn(1)


def test_building_a_random_tower_leaves_the_callers_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build_tower(EncoderSettings(model="demo-tiny", weights="random"))
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("model", "weights", "expected"),
    [
        ("ViT-L-14", "openai", "quick_gelu"),
        ("ViT-B-16", "clip-vit-b-16-int8", "quick_gelu"),
        ("ViT-L-14", "laion2b_s32b_b82k", "gelu"),
        ("ViT-L-14", "random", "gelu"),
        ("ViT-L-14-quickgelu", "random", "quick_gelu"),
        ("demo-tiny", "random", "quick_gelu"),
    ],
)
def test_auto_follows_the_weights(model, weights, expected):
    settings = EncoderSettings(model=model, weights=weights)
    assert resolved(settings).activation == expected


@pytest.mark.parametrize(
    ("tag", "mean"),
    [("openai", 0.48145466), ("laion2b_s32b_b82k", 0.5), ("datacomp_xl_s13b_b90k", 0.48145466)],
)
def test_statistics_follow_the_tag_unless_they_are_chosen(tag, mean):
    settings = EncoderSettings(model="ViT-L-14", weights=tag)
    assert resolved(settings).mean[0] == mean
    chosen = settings.model_copy(update={"mean": (0.1, 0.2, 0.3)})
    assert resolved(chosen).mean == (0.1, 0.2, 0.3)
    assert resolved(chosen).std == resolved(settings).std
    assert encoder_identity(chosen) != encoder_identity(settings)


@pytest.mark.parametrize("choice", ["gelu", "quick_gelu"])
def test_a_chosen_activation_is_what_the_tower_computes_with(choice):
    settings = EncoderSettings(model="demo-tiny", weights="random", activation=choice)
    tower = build_tower(settings)
    x = torch.tensor([1.5])
    expected = {"gelu": torch.nn.functional.gelu(x), "quick_gelu": x * torch.sigmoid(1.702 * x)}
    for block in tower.transformer.resblocks:
        torch.testing.assert_close(block.mlp.gelu(x), expected[choice])


def test_an_openai_archive_means_quick_gelu(clip, tmp_path):
    path = write("archive", clip, tmp_path)
    settings = EncoderSettings(model="ViT-L-14", weights=path)
    assert resolved(settings).activation == "quick_gelu"


def test_a_file_that_cannot_tell_its_activation_is_not_guessed(clip, tmp_path):
    config = {k: v for k, v in open_clip.get_model_config("demo-tiny").items() if k != "quick_gelu"}
    model = tmp_path / "silent.json"
    model.write_text(json.dumps(config))
    path = write("safetensors", clip, tmp_path)
    with pytest.raises(UserError, match="set encoder"):
        build_tower(EncoderSettings(model=str(model), weights=path))
    settings = EncoderSettings(model=str(model), weights=path, activation="gelu")
    build_tower(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "no-such-model", "weights": "random"}, "knows no model"),
        ({"model": "ViT-L-14", "weights": "no-such-tag"}, "openai"),
        ({"model": "demo-tiny", "weights": "no/such/file.pt"}, "neither"),
        ({"model": "no/such.json", "weights": "random"}, "model-config JSON not found"),
    ],
)
def test_what_does_not_exist_is_named(settings, words):
    with pytest.raises(UserError, match=words):
        build_tower(EncoderSettings(**settings))


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("conv1.weight", (32, 3, 4, 4), r"conv1.weight should have shape \(32, 3, 8, 8\)"),
        ("transformer.resblocks.4.ln_1.weight", (32,), "which has no transformer"),
    ],
)
def test_weights_of_another_model_are_refused(clip, tmp_path, name, shape, words):
    torch.save(clip.visual.state_dict() | {name: torch.zeros(shape)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=words):
        build_tower(EncoderSettings(model="demo-tiny", weights=str(tmp_path / "other.pt")))


def test_what_does_not_fit_into_free_memory_is_not_begun(monkeypatch):
    free = SimpleNamespace(total=10**15, available=10**5)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(open_clip, "CLIP", None)
    settings = EncoderSettings(model="demo-tiny", weights="random")
    with pytest.raises(UserError, match="parameters, more than there is free memory for"):
        build_tower(settings)
    encoder_identity(settings)  # of what is named and not built nothing is asked


def test_a_file_that_is_no_model_config_is_refused(tmp_path):
    path = tmp_path / "model.json"
    for text, words in {"{": "cannot be read", "{}": "lacks embed_dim", "[]": "lacks"}.items():
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            build_tower(EncoderSettings(model=str(path), weights="random"))


@pytest.mark.parametrize("kind", ["archive", "safetensors", "checkpoint"])
def test_a_pretrained_tag_is_downloaded_by_open_clip(monkeypatch, clip, tmp_path, kind):
    asked, path = [], write(kind, clip, tmp_path)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: asked.append(tag) or path)
    tag = open_clip.get_pretrained_cfg("ViT-B-32", "openai")
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda model: ["openai"])
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, name: tag)
    settings = EncoderSettings(model="demo-tiny", weights="openai")
    tower = build_tower(settings)
    assert asked == [tag] and resolved(settings).activation == "quick_gelu"
    for name, tensor in clip.visual.state_dict().items():
        torch.testing.assert_close(tower.state_dict()[name], tensor)


def test_an_encoder_is_known_by_its_files_contents(clip, tmp_path):
    config = open_clip.get_model_config("demo-tiny")
    found = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        path = write("safetensors", clip, tmp_path / folder)
        model = tmp_path / folder / "tower.json"
        model.write_text(json.dumps(config))
        found.append(encoder_identity(EncoderSettings(model=str(model), weights=path)))
    assert found[0] == found[1] and "here" not in json.dumps(found[0])
    model.write_text(json.dumps(config | {"quick_gelu": False}))
    assert encoder_identity(EncoderSettings(model=str(model), weights=path)) != found[0]
    model.write_text(json.dumps(config))
    save_file({n: tensor + 1 for n, tensor in clip.visual.state_dict().items()}, path)
    assert encoder_identity(EncoderSettings(model=str(model), weights=path)) != found[0]
    for model, name in (("ViT-L-14", "openai"), ("ViT-B-16", "clip-vit-b-16-int8")):
        known = EncoderSettings(model=model, weights=name)  # by a name, weights or none
        assert encoder_identity(known) == resolved(known).model_dump(mode="json")
