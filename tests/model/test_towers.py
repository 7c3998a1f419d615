"""Towers of timm's and of a user's own: the same tokens as theirs, and all that a run does."""

import json
import re
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from conftest import open_tiny
from layerfusion.errors import UserError
from layerfusion.model import other_towers
from layerfusion.model.detector import Detector
from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.tower import tower_of
from layerfusion.model.weights import build_tower, describe, encoder_identity
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings
from layerfusion.training import loop

WIDTH, DEPTH = 32, 3
# One of each family: whether it has a class token, and how many tokens beside its patches.
FAMILIES = {
    "vit_base_patch16_clip_quickgelu_224": (True, 1),
    "vit_small_patch14_reg4_dinov2": (True, 5),
    "vit_small_patch16_dinov3": (True, 5),  # rotary positions
    "vit_base_patch16_siglip_224": (False, 0),
    "vit_pe_core_tiny_patch16_384": (True, 1),
    "eva02_tiny_patch14_224": (True, 1),
    "beit_base_patch16_224": (True, 1),
}
SIDE = {name: 2 * int(re.search(r"patch(\d+)", name)[1]) for name in FAMILIES}
HEAD = HeadSettings(projection_width=8, hidden_width=8)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """Models of these families are a few thousand numbers here."""
    create = timm.create_model

    def tiny(name, **named):
        sizes = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2, "img_size": SIDE.get(name)}
        return create(name, **named, **(sizes if name in FAMILIES else {}))

    monkeypatch.setattr(timm, "create_model", tiny)
    other_towers._empty_timm.cache_clear()
    yield
    other_towers._empty_timm.cache_clear()


def settings_of(name, **given):
    return EncoderSettings(model=f"timm/{name}", **({"weights": "random"} | given))


def build(name, **given):
    side = SIDE[name]
    images = ImageSettings(crop=side, min_side=side + 4)
    return Detector.build(settings_of(name, **given), HEAD, images)


def awake(detector):
    """Layer scales start near 0, where no block does anything; give them a size."""
    for key, parameter in detector.encoder.visual.named_parameters():
        if "gamma" in key:
            parameter.data.fill_(0.5)
    return detector.eval()


def pixels(name, images=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (images, 3, SIDE[name], SIDE[name]), generator=generator).byte()


def streams(visual, images):
    """What every block returns, seen by hooks: independent of timm's own way of reading them."""
    seen = []
    hooks = [b.register_forward_hook(lambda _, __, out: seen.append(out)) for b in visual.blocks]
    with torch.no_grad():
        visual.forward_features(images)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("trained", [0, 2])
def test_tokens_are_the_towers_own_to_the_last_bit(name, trained):
    has_class, others = FAMILIES[name]
    detector = awake(build(name, trained_blocks=trained))
    images = (pixels(name).float() / 255 - detector.mean) / detector.std
    seen = streams(detector.encoder.visual, images)
    with torch.no_grad():
        h = detector.encoder(images)
    assert h.shape == (2, DEPTH, WIDTH) and h.dtype == torch.float32
    expected = [s[:, 0] if has_class else s[:, others:].mean(dim=1) for s in seen]
    assert torch.equal(h, torch.stack(expected, dim=1))
    assert h.flatten(1).std(dim=0).max() > 0.01  # images differ


@pytest.mark.parametrize("name", FAMILIES)
def test_patch_tokens_leave_class_and_register_tokens_out(name):
    detector = awake(build(name, tokens="patches", trained_blocks=0))
    images = (pixels(name).float() / 255 - detector.mean) / detector.std
    expected = [
        s[:, FAMILIES[name][1] :].mean(dim=1) for s in streams(detector.encoder.visual, images)
    ]
    assert torch.equal(detector.encoder(images), torch.stack(expected, dim=1))


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_the_last_two_blocks_and_nothing_else(name):
    detector = awake(build(name, trained_blocks=2)).train()
    detector(pixels(name)).sum().backward()
    named = dict(detector.encoder.visual.named_parameters())
    reached = {key.split(".")[1] for key, p in named.items() if p.grad is not None}
    assert reached == {"1", "2"}
    assert all(key.startswith("blocks.") for key, p in named.items() if p.requires_grad)
    modes = [block.training for block in detector.encoder.visual.blocks]
    assert modes == [False, True, True]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tower_says_what_its_images_are(name):
    config = timm.get_pretrained_cfg(name)
    detector = build(name)
    assert detector.mean.flatten().tolist() == pytest.approx(config.mean)
    assert detector.std.flatten().tolist() == pytest.approx(config.std)
    assert detector.encoder_settings.tokens == ("class" if FAMILIES[name][0] else "patches")
    with pytest.raises(UserError, match=f"set images.crop={SIDE[name]}"):
        Detector.build(settings_of(name), HEAD, ImageSettings(crop=16, min_side=16))


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_base_patch16_siglip_224"])
def test_a_saved_detector_scores_the_same(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path))
    detector, folder = build(name, trained_blocks=1).eval(), tmp_path / "detector"
    detector.threshold = 0.5
    detector.save(folder)
    assert torch.equal(Detector.load(folder)(pixels(name)), detector(pixels(name)))


@pytest.mark.parametrize("trained", [0, 1])
def test_a_run_that_is_interrupted_ends_in_the_same_numbers(photos, tmp_path, monkeypatch, trained):
    name = "vit_small_patch14_reg4_dinov2"
    given = {
        "encoder.model": f"timm/{name}", "encoder.weights": "random", "encoder.activation": "auto",
        "encoder.trained_blocks": trained, "encoder.last_block": "full", "images.crop": SIDE[name],
        "images.min_side": SIDE[name], "training.epochs": 2, "loader.prefix_cache": True,
        "training.checkpoint_minutes": 0,
    }  # fmt: skip
    whole = open_tiny(photos, overrides=given).obtain(fresh=True)
    assert len(whole.record.history) == 2
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "cut"))  # where the whole one is not
    save = loop.save_checkpoint

    def save_then_stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            open_tiny(photos, overrides=given).obtain()
    again = open_tiny(photos, overrides=given).obtain()
    assert again.record.history == whole.record.history
    assert again.predictions().equals(whole.predictions())


def test_clip_through_timms_class_gives_open_clips_tokens(tmp_path):
    """The same weights, in timm's class and in OpenCLIP's: equal within rounding."""
    name = "vit_base_patch16_clip_quickgelu_224"
    side = SIDE[name]
    vision = {"image_size": side, "layers": DEPTH, "width": WIDTH, "head_width": 16}
    text = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}
    config = {"embed_dim": 16, "quick_gelu": True, "text_cfg": text,
              "vision_cfg": vision | {"patch_size": 16}}  # fmt: skip
    (tmp_path / "tiny.json").write_text(json.dumps(config))
    ours = build_tower(
        EncoderSettings(
            model=str(tmp_path / "tiny.json"), weights="random", activation="quick_gelu"
        )
    )
    file = tmp_path / "clip.safetensors"
    save_file({f"visual.{k}": v.contiguous() for k, v in ours.state_dict().items()}, file)
    theirs = build_tower(settings_of(name, weights=str(file)))
    images = torch.randn(3, 3, side, side)
    with torch.no_grad():
        h = [ClassTokenEncoder(one, trained_blocks=0)(images) for one in (ours, theirs)]
    torch.testing.assert_close(h[0], h[1], atol=2e-6, rtol=1e-5)


# --- weights --------------------------------------------------------------------------------------


def test_weights_come_from_a_file_strictly(tmp_path):
    name, file = "vit_small_patch16_dinov3", tmp_path / "w.safetensors"
    module = awake(build(name)).encoder.visual
    tensors = {k: v.clone() for k, v in module.state_dict().items()}
    save_file(tensors | {"head.weight": torch.zeros(3)}, file)
    loaded = build_tower(settings_of(name, weights=str(file)))
    assert all(torch.equal(v, tensors[k]) for k, v in loaded.state_dict().items())
    for wrong in (
        {k: v for k, v in tensors.items() if k != "blocks.1.mlp.fc1.weight"},
        tensors | {"blocks.1.mlp.fc1.weight": torch.zeros(2, 2)},
        tensors | {"blocks.7.mlp.fc1.weight": torch.zeros(2, 2)},
    ):
        save_file(wrong, file)
        with pytest.raises(UserError, match=r"do(es)? not fit"):
            build_tower(settings_of(name, weights=str(file)))


@pytest.mark.parametrize(
    ("model", "weights", "words"),
    [
        ("timm/vit_of_nobody", "random", "timm knows no model"),
        ("timm/../etc", "random", "timm knows no model"),
        ("timm/swin_tiny_patch4_window7_224", "random", "has no blocks of one width"),
        ("timm/convnext_atto", "random", "has no blocks of one width"),
        ("timm/vit_small_patch16_dinov3", "openai", "nor an existing file, nor 'random'"),
        ("nowhere_to_be:found", "own", "makes no tower"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(model, weights, words):
    with pytest.raises(UserError, match=words):
        build_tower(EncoderSettings(model=model, weights=weights))


def test_pretrained_weights_that_are_not_here_say_where_they_come_from(monkeypatch):
    name = "vit_small_patch16_dinov3"
    tag = other_towers.timm_tags(name)[0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    create = timm.create_model

    def offline(asked, **named):
        if named.get("pretrained"):
            raise OSError("no network")
        return create(asked, **named)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match="are not on this machine and cannot be fetched"):
        build_tower(settings_of(name, weights=tag))


def test_a_tower_larger_than_the_memory_is_not_begun(monkeypatch):
    monkeypatch.setattr("layerfusion.model.weights._free_memory", lambda: 1000)
    with pytest.raises(UserError, match="more than there is free memory"):
        build_tower(settings_of("beit_base_patch16_224"))


def test_an_activation_is_open_clips_matter():
    with pytest.raises(UserError, match=r"leave encoder\.activation"):
        build_tower(settings_of("beit_base_patch16_224", activation="gelu"))


def test_a_tower_that_cannot_be_cut_is_not_cut(tiny_profile):
    with pytest.raises(UserError, match="computed as a whole"):
        build("beit_base_patch16_224", trained_blocks=1, prefix_precision="bfloat16")
    whole = build("beit_base_patch16_224", trained_blocks=0, prefix_precision="bfloat16")
    assert torch.isfinite(whole(pixels("beit_base_patch16_224"))).all()


def test_without_a_class_token_none_is_read():
    tower = build_tower(settings_of("vit_base_patch16_siglip_224"))
    with pytest.raises(UserError, match=r"encoder\.tokens=patches"):
        ClassTokenEncoder(tower, tokens="class")
    assert not describe("timm/vit_base_patch16_siglip_224").has_class_token


# --- a tower of one's own -------------------------------------------------------------------------

OWN = """
import torch
from torch import nn


class Own(nn.Module):
    width, image_size, mean, std = 8, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 16, 16)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def tokens(self, images):
        x, read = self.first(images).mean(dim=(2, 3)), []
        for block in self.blocks:
            x = x + block(x).tanh()
            read.append(x)
        return torch.stack(read, dim=1)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A file of a user's in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / "runs"))

    def write(text):
        (tmp_path / "mytower.py").write_text(text)
        sys.modules.pop("mytower", None)
        return EncoderSettings(model="mytower:Own", weights="own", trained_blocks=2)

    yield write
    sys.modules.pop("mytower", None)


def test_twenty_lines_make_a_tower(own, tmp_path):
    settings = own(OWN)
    detector = Detector.build(settings, HEAD, ImageSettings(crop=32, min_side=32))
    images = torch.randint(0, 256, (4, 3, 32, 32)).byte()
    detector(images).sum().backward()
    grads = {
        k.split(".")[1] for k, p in detector.encoder.visual.named_parameters() if p.grad is not None
    }
    assert grads == {"1", "2"}
    assert detector.mean.flatten().tolist() == [0.5] * 3
    own_tokens = detector.encoder.visual.tokens((images / 255 - 0.5) / 0.25)
    torch.testing.assert_close(detector.eval().class_tokens(images), own_tokens)
    folder = tmp_path / "runs" / "detector"
    folder.parent.mkdir()
    detector.threshold = 0.5
    detector.save(folder)
    assert torch.equal(Detector.load(folder)(images), detector(images))


def test_what_identifies_an_own_tower_is_its_numbers(own):
    first = encoder_identity(own(OWN))
    assert encoder_identity(own(OWN)) == first
    assert encoder_identity(own(OWN.replace("seed(0)", "seed(1)"))) != first


def test_a_detector_from_elsewhere_names_no_module(own, tmp_path, monkeypatch):
    settings = own(OWN)
    detector = Detector.build(settings, HEAD, ImageSettings(crop=32, min_side=32))
    detector.threshold = 0.5
    detector.save(tmp_path / "elsewhere")
    (tmp_path / "mytower.py").write_text("raise SystemExit('executed')")
    sys.modules.pop("mytower", None)
    with pytest.raises(UserError, match="a detector from elsewhere may name none"):
        Detector.load(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (("read.append(x)", "read.append(x[:, :4])"), r"expected are \(batch, blocks, width\)"),
        (("return torch.stack(read, dim=1)", "return torch.stack(read, dim=1).detach()"),
         "no gradient reaches the last block"),
        (("x = x + block", "x = x * float('nan') + block"), "not finite"),
        (("stack(read, dim=1)", "stack(read, dim=1)[:1]"), r"returned \(1, 3, 8\) of two images"),
        (("nn.Module)", "object)"), "a torch.nn.Module is needed"),
        (("width, image_size", "size, image_size"), "has no 'width'"),
    ],
)  # fmt: skip
def test_a_wrong_tower_is_one_sentence(own, mistake, words):
    text = OWN.replace(*mistake)
    if mistake[1] == "object)":
        text = text.replace("super().__init__()", "pass")
    with pytest.raises(UserError, match=words):
        build_tower(own(text))


def test_a_path_with_a_drive_is_no_module():
    assert other_towers.is_own("mytower:Own") and other_towers.is_own("a.b:c")
    for path in ("C:\\towers\\a.json", "C:/a.json", "a.json", "timm/vit", "hf-hub:owner/name"):
        assert not other_towers.is_own(path)


def test_trying_a_tower_draws_nothing_from_others(own):
    settings, state = own(OWN.replace("torch.manual_seed(0)", "pass")), torch.random.get_rng_state()
    module = other_towers.own_tower(settings.model).visual
    torch.random.set_rng_state(state)
    tower_of(module)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_module_that_is_none_is_refused():
    with pytest.raises(UserError, match="is no tower"):
        tower_of(torch.nn.Identity())
