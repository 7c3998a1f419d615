"""What frozen blocks give, kept on the disk: the same numbers, found again, never mixed up."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from conftest import open_tiny, tiny_detector, tiny_images
from layerfusion.errors import UserError
from layerfusion.model.detector import Detector
from layerfusion.model.prefix_cache import PrefixCache, open_prefix_cache
from layerfusion.paths import cache_root, runs_root
from layerfusion.runs.condition import Condition
from layerfusion.runs.conditions import obtain_predictions
from layerfusion.settings import LoaderSettings

# A batch of another size is multiplied in another order: that moves float32's last bits, and now
# and then one of float16's, at the seam, by 2^-11 of its value; bfloat16's anywhere, by 2^-8.
TOLERANCE = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 3e-2}
PRECISIONS = list(TOLERANCE)


def fail(words):
    raise AssertionError(words)


def make(**settings):
    """Return a detector of the tiny tower; settings are its encoder's."""
    chosen = {"prefix_precision": "float16"} | settings
    return tiny_detector(**{f"encoder.{name}": value for name, value in chosen.items()})


@pytest.fixture
def make_cache(tmp_path):
    def build(limit=10**9, warn=fail):
        return PrefixCache(tmp_path / "prefix", limit=limit, warn=warn)

    return build


def entries(cache):
    return [path for path in cache.folder.rglob("*") if path.is_file()]


def counts(cache):
    return cache.found, cache.computed, len(entries(cache))


def logits_and_gradients(detector, images):
    detector.zero_grad()
    logits = detector(images)
    logits.sum().backward()
    return [logits.detach(), *(p.grad.clone() for p in detector.trained_parameters().values())]


# --- the two halves -------------------------------------------------------------------------------


@pytest.mark.parametrize("trained_blocks", [0, 2, 4])
def test_the_encoder_is_its_two_halves(trained_blocks):
    encoder = make(trained_blocks=trained_blocks, prefix_precision="float32").encoder
    images = torch.randn(3, 3, 48, 48)
    frozen = encoder.prefix(images)
    assert frozen.class_tokens.shape == (3, 4 - trained_blocks, 32)
    assert frozen.tokens.shape == (3, 37 if trained_blocks else 0, 32)
    assert not frozen.class_tokens.requires_grad and not frozen.tokens.requires_grad
    assert torch.equal(encoder.suffix(frozen), encoder(images))


def test_rounding_happens_at_the_seam_alone():
    images = tiny_images(4)
    exact, rounded = make(prefix_precision="float32"), make()
    frozen = exact.frozen_tokens(images)
    halves = rounded.frozen_tokens(images)
    assert torch.equal(frozen.class_tokens.half(), halves.class_tokens)
    assert torch.equal(frozen.tokens.half(), halves.tokens)
    difference = (exact(images) - rounded(images)).abs().max()
    assert 0 < difference < TOLERANCE["float16"]


def test_bfloat16_is_computed_in_it_whatever_the_training_has():
    exact, brain = make(prefix_precision="float32"), make(prefix_precision="bfloat16")
    images = tiny_images(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = brain.frozen_tokens(images)
    plain = brain.frozen_tokens(images)
    for ours, again, reference in zip(plain, mixed, exact.frozen_tokens(images), strict=True):
        assert ours.dtype == torch.bfloat16 and torch.equal(ours, again)
        cosines = torch.nn.functional.cosine_similarity(ours.float(), reference, dim=-1)
        assert cosines.min() > 0.999 and not torch.equal(ours.float(), reference)
    assert all(p.dtype == torch.float32 for p in brain.trained_parameters().values())
    brain.save(runs_root())
    assert torch.equal(Detector.load(runs_root())(images), brain(images))


def test_values_beyond_float16_are_named():
    detector = make()
    with torch.no_grad():
        detector.encoder.visual.ln_pre.bias.fill_(1e6)
    with pytest.raises(UserError, match="prefix_precision=float32"):
        detector(tiny_images(1))


# --- the same numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("trained_blocks", [0, 2])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_equal_batches_give_equal_bits(make_cache, precision, trained_blocks):
    detector, images = (
        make(prefix_precision=precision, trained_blocks=trained_blocks),
        tiny_images(5),
    )
    uncached = logits_and_gradients(detector, images)
    detector.prefix_cache = make_cache()
    for _ in ("computed", "found"):
        cached = logits_and_gradients(detector, images)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(cached, uncached, strict=True))
    assert counts(detector.prefix_cache) == (5, 5, 5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_found_and_computed_images_come_back_in_order(make_cache, precision):
    detector, images = make(prefix_precision=precision), tiny_images(7)
    uncached = detector(images)
    detector.prefix_cache = make_cache()
    detector(images[[4, 1]])
    torch.testing.assert_close(detector(images), uncached, atol=TOLERANCE[precision], rtol=0)
    assert counts(detector.prefix_cache) == (2, 7, 7)


def test_an_image_that_is_there_twice_is_computed_once(make_cache):
    detector, images = make(), tiny_images(3)[[0, 1, 0, 2, 1]]
    detector.prefix_cache = make_cache()
    torch.testing.assert_close(detector(images), detector(images), atol=0, rtol=0)
    assert detector.prefix_cache.computed == 3 and len(entries(detector.prefix_cache)) == 3


def test_autocast_has_entries_of_its_own(make_cache):
    detector, images = make(prefix_precision="float32"), tiny_images(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        uncached = detector(images)
    detector.prefix_cache = make_cache()
    detector(images)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(detector(images), uncached)
    assert counts(detector.prefix_cache) == (3, 6, 6)


def run_of(photos, settings):
    experiment = open_tiny(photos, overrides=settings)
    run = experiment.obtain(fresh=True)
    predictions = obtain_predictions(experiment, run, Condition(degradation="jpeg-85"))
    return experiment, run, predictions


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_whole_run_gives_the_same_numbers(photos, tmp_path, monkeypatch, precision):
    settings = {
        "training.precision": precision,
        "encoder.prefix_precision": "float16",
        "encoder.last_block": "class_token",
    }
    plain, uncached, degraded = run_of(photos, settings)
    assert not cache_root().exists()
    for tokens in ("computed", "found"):
        # Elsewhere, or the conditions' predictions would be found rather than scored anew.
        monkeypatch.setenv("LAYERFUSION_RUNS", str(tmp_path / f"runs-{tokens}"))
        kept, cached, again = run_of(photos, settings | {"loader.prefix_cache": True})
        assert kept.place.key == plain.place.key
        assert cached.record.history == uncached.record.history
        assert cached.predictions().equals(uncached.predictions())
        assert again["logit"].equals(degraded["logit"])
    # Those for validation, as they are, in both epochs, and degraded; of training images nothing,
    # for without numbered views none comes again.
    files = [path for path in (cache_root() / "prefix").rglob("*") if path.is_file()]
    assert len(files) == 2 * len(plain.validation.rows)


# --- never the wrong entry ------------------------------------------------------------------------


def test_nothing_else_shares_an_entry(make_cache):
    cache, images = make_cache(), tiny_images(2)
    others = [
        {},
        {"random_seed": 1},
        {"activation": "gelu"},
        {"trained_blocks": 1},
        {"trained_blocks": 0},
        {"prefix_precision": "float32"},
        {"prefix_precision": "bfloat16"},
        {"mean": (0.5, 0.5, 0.5)},
        {"tokens": "patches"},
    ]
    for number, settings in enumerate(others, start=1):
        detector = make(**settings)
        uncached = detector(images)
        detector.prefix_cache = cache
        assert torch.equal(detector(images), uncached)
        assert counts(cache) == (0, 2 * number, 2 * number)
    images[0, 2, 47, 47] ^= 1
    detector(images)
    assert counts(cache) == (1, 19, 19)


def test_what_comes_after_the_seam_shares_all_entries(make_cache):
    cache, images = make_cache(), tiny_images(2)
    for settings in ({}, {"last_block": "class_token"}):
        detector = make(**settings)
        detector.prefix_cache = cache
        with torch.no_grad():
            for parameter in detector.trained_parameters().values():
                parameter.mul_(1.1)
        detector(images)
    assert counts(cache) == (2, 2, 2)


# --- what happens to folders ----------------------------------------------------------------------


def half(data):
    return data[: len(data) // 2]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [half, flipped, lambda data: b"", lambda data: bytes(4)])
def test_a_damaged_entry_is_replaced(make_cache, damage):
    detector, images = make(), tiny_images(1)
    cache = detector.prefix_cache = make_cache()
    expected = detector(images)
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert torch.equal(detector(images), expected)
    assert cache.computed == 2 and entry.read_bytes() == whole


def test_an_entry_of_another_shape_is_replaced(make_cache):
    one, other, images = make(), make(trained_blocks=0), tiny_images(1)
    cache = one.prefix_cache = other.prefix_cache = make_cache()
    expected = one(images)
    (entry,) = entries(cache)
    other(images)
    (foreign,) = set(entries(cache)) - {entry}
    entry.write_bytes(foreign.read_bytes())
    assert torch.equal(one(images), expected)


def test_a_read_only_folder_is_read(make_cache, tmp_path):
    (tmp_path / "probe").mkdir(mode=0o500)
    if os.access(tmp_path / "probe", os.W_OK):
        pytest.skip("nothing is read-only for this user")
    detector, images, said = make(), tiny_images(3), []
    detector.prefix_cache = make_cache()
    detector(images[:1])
    folders = [path for path in detector.prefix_cache.folder.rglob("*") if path.is_dir()]
    folders.append(detector.prefix_cache.folder)
    for folder in folders:
        folder.chmod(0o500)
    cache = detector.prefix_cache = make_cache(warn=said.append)
    detector(images)
    for folder in folders:
        folder.chmod(0o700)
    assert counts(cache) == (1, 2, 1) and len(said) == 1


def test_where_nothing_can_be_written_all_goes_on(make_cache):
    detector, images, said = make(), tiny_images(3), []
    cache = detector.prefix_cache = make_cache(warn=said.append)
    cache.folder.write_text("a file where the folder should be")
    expected = detector(images)
    assert torch.equal(detector(images), expected)
    assert counts(cache) == (0, 6, 0)
    assert len(said) == 1 and said[0].startswith(f"nothing more is cached in {cache.folder}: ")


def test_a_full_disk_is_said_once_and_what_is_there_is_found(make_cache, monkeypatch):
    detector, images, said = make(), tiny_images(3), []
    cache = detector.prefix_cache = make_cache(warn=said.append)
    detector(images[:1])

    def full(path, data):
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    detector(images)
    detector(images)
    assert counts(cache) == (2, 5, 1)
    assert said == [
        f"nothing more is cached in {cache.folder}: No space left on device; frozen features "
        "will be computed again"
    ]


def test_a_folder_that_vanishes_is_made_anew(make_cache):
    detector, images = make(), tiny_images(2)
    cache = detector.prefix_cache = make_cache()
    detector(images)
    for entry in entries(cache):
        entry.unlink()
    for folder in sorted((path for path in cache.folder.rglob("*")), reverse=True):
        folder.rmdir()
    detector(images)
    assert counts(cache) == (0, 4, 2)


# --- bounds ---------------------------------------------------------------------------------------


def entry_size(make_cache):
    detector = make()
    detector.prefix_cache = make_cache()
    detector(tiny_images(1, seed=99))
    (entry,) = entries(detector.prefix_cache)
    size = entry.stat().st_size
    entry.unlink()
    return size


def test_the_bound_is_kept_and_the_most_recently_used_stay(make_cache):
    size = entry_size(make_cache)
    detector, images = make(), tiny_images(30)
    cache = detector.prefix_cache = make_cache(limit=10 * size)
    for step in range(1, 30):
        detector(images[[0, step]])  # the first is used at every step
        assert sum(path.stat().st_size for path in entries(cache)) <= 10 * size
    assert cache.computed == 30
    detector(images[[0, 29, 28, 27, 26]])
    assert cache.computed == 30
    detector(images[[1]])
    assert cache.computed == 31


def test_a_batch_larger_than_the_bound_is_computed_and_partly_kept(make_cache):
    size = entry_size(make_cache)
    detector, images = make(), tiny_images(12)
    expected = detector(images)
    cache = detector.prefix_cache = make_cache(limit=5 * size)
    assert torch.equal(detector(images), expected)
    assert 0 < len(entries(cache)) <= 5


def test_a_bound_below_one_image_keeps_nothing(make_cache):
    detector, said = make(), []
    cache = detector.prefix_cache = make_cache(limit=1000, warn=said.append)
    detector(tiny_images(2))
    assert not entries(cache) and len(said) == 1 and "LAYERFUSION_CACHE_GB" in said[0]


def test_what_is_left_by_others_counts(make_cache):
    size = entry_size(make_cache)
    one, other = make(), make()
    one.prefix_cache, other.prefix_cache = (make_cache(limit=10 * size) for _ in range(2))
    for seed in range(10):
        one(tiny_images(2, seed=seed))
        other(tiny_images(2, seed=100 + seed))
        # A process may be two entries ahead of what the other one has noticed.
        assert sum(path.stat().st_size for path in entries(one.prefix_cache)) <= 12 * size


@pytest.mark.parametrize("text", ["much", "0", "-3", "inf", "nan", "1e-12"])
def test_a_wrong_size_is_named(monkeypatch, text):
    monkeypatch.setenv("LAYERFUSION_CACHE_GB", text)
    with pytest.raises(UserError, match=f"LAYERFUSION_CACHE_GB is '{text}'; .* GB") as caught:
        open_prefix_cache(LoaderSettings(prefix_cache=True), fail)
    assert "\n" not in str(caught.value)


def test_it_is_off_unless_asked_for_and_its_size_is_in_gb(tmp_path, monkeypatch):
    assert open_prefix_cache(LoaderSettings(), fail) is None
    monkeypatch.setenv("LAYERFUSION_CACHE", str(tmp_path / "mine"))
    monkeypatch.delenv("LAYERFUSION_CACHE_GB", raising=False)
    opened = open_prefix_cache(LoaderSettings(prefix_cache=True), fail)
    assert (opened.folder, opened.limit) == (tmp_path / "mine" / "prefix", 20 * 10**9)
    monkeypatch.setenv("LAYERFUSION_CACHE_GB", "0.5")
    assert open_prefix_cache(LoaderSettings(prefix_cache=True), fail).limit == 5 * 10**8


# --- several processes ----------------------------------------------------------------------------


def use_a_folder(folder, limit, seed):
    """Ask for a few of the same images again and again, in a process of its own."""
    detector, images = make(), tiny_images(24, seed=5)
    generator = torch.Generator()
    with torch.inference_mode():
        expected = detector(images)
        detector.prefix_cache = PrefixCache(folder, limit=limit, warn=fail)
        for step in range(40):
            generator.manual_seed(1000 * seed + step)
            chosen = torch.randperm(24, generator=generator)[:4]
            difference = (detector(images[chosen]) - expected[chosen]).abs().max()
            assert difference < 2e-3, difference
    assert detector.prefix_cache.found > 0


def test_two_processes_use_one_folder_at_once(tmp_path, make_cache):
    """With room for so few images that each removes what the other one wrote, or reads."""
    limit, start = 10 * entry_size(make_cache), multiprocessing.get_context("spawn").Process
    processes = [start(target=use_a_folder, args=(tmp_path / "two", limit, n)) for n in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        assert process.exitcode == 0
    left = [path for path in (tmp_path / "two").rglob("*") if path.is_file()]
    assert left and not [path for path in left if path.name.endswith(".partial")]
    assert sum(path.stat().st_size for path in left) <= 1.2 * limit
