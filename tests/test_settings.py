"""Profiles: what they hold, and one sentence for every way to get a setting wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerfusion.errors import UserError
from layerfusion.settings import Profile, digest, load_profile, parse_override, profile_names


def test_the_profiles_come_with_the_package():
    assert profile_names() == ["demo", "folder", "paper", "photographs"]
    for name in profile_names():
        assert load_profile(name).name == name


def test_the_paper_profile_has_the_values_of_paper_and_authors_code():
    paper = load_profile("paper")
    assert (paper.encoder.model, paper.encoder.weights) == ("ViT-L-14", "openai")
    assert paper.encoder.trained_blocks == 2
    training = paper.training
    assert (training.batch_size, training.epochs, training.patience) == (16, 3, 1)
    assert (training.head_learning_rate, training.backbone_learning_rate) == (3e-4, 1e-5)
    assert (training.weight_decay, training.clip_norm, training.precision) == (1e-4, 1.0, "fp16")
    assert (training.small_side, training.small_weight) == (512, 1.25)
    assert (paper.images.crop, paper.images.min_side) == (224, 256)
    augmentation = paper.images.augmentation
    assert (augmentation.jpeg_probability, augmentation.jpeg_quality) == (0.5, (50, 100))
    assert (augmentation.resample_probability, augmentation.resample_size) == (0.6, (80, 192))
    assert (augmentation.jitter_probability, augmentation.rotation_probability) == (0.3, 0.2)


def test_photographs_are_the_papers_method_at_another_size():
    paper, photographs = load_profile("paper"), load_profile("photographs")
    assert (photographs.head, photographs.images) == (paper.head, paper.images)
    scaled = {"precision": "fp32", "small_side": 250, "epochs": 8, "patience": 2, "views": 2}
    assert photographs.training == paper.training.model_copy(update=scaled)
    encoder = photographs.encoder
    assert (encoder.model, encoder.weights) == ("ViT-B-16", "clip-vit-b-16-int8")
    assert encoder.prefix_precision == "float16"
    assert encoder.trained_blocks == 0 and photographs.loader.prefix_cache
    assert photographs.run("open").train_sources == ["constrained", "social"]
    for text in (photographs.about, photographs.notice):
        assert "rounded to 8 bits per channel" in " ".join(text.split())
    assert "illustrations" in photographs.about
    assert "none of its blocks is fine-tuned" in photographs.about


def test_what_few_runs_have_is_no_news_to_the_others():
    numerics = load_profile("paper").numerics("open")
    assert "views" not in numerics["training"]
    assert not {"reads", "weights_per"} & numerics["head"].keys()
    assert load_profile("photographs").numerics("open")["training"]["views"] == 2
    changed = load_profile("paper", {"head.reads": [1, 3], "head.weights_per": "feature"})
    assert (
        changed.numerics("open")["head"] | {"reads": [1, 3], "weights_per": "feature"}
        == (changed.numerics("open")["head"])
    )


def test_overrides_replace_single_settings():
    profile = load_profile("demo", {"training.epochs": 7, "encoder.activation": "gelu"})
    assert profile.training.epochs == 7 and profile.encoder.activation == "gelu"
    assert profile.training.batch_size == load_profile("demo").training.batch_size


def test_a_profile_can_be_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nabout: mine\nencoder: {model: demo-tiny, weights: random}\n"
        "data: {sources: [{kind: folder}]}\nruns: {open: {train_sources: [a]}}\n"
    )
    assert load_profile(str(path)).run("open").train_sources == ["a"]


def test_the_home_folder_is_found_in_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    overrides = {"encoder.weights": "~/w.pt", "data.test_labels": "~/labels.csv"}
    profile = load_profile("folder", overrides)
    assert profile.encoder.weights == str(tmp_path / "w.pt")
    assert str(profile.data.test_labels) == str(tmp_path / "labels.csv")


def test_an_unknown_run_names_the_known_ones():
    with pytest.raises(UserError, match="constrained, open"):
        load_profile("demo").run("closed")


def test_overrides_are_read_as_yaml():
    assert parse_override("training.epochs=1") == ("training.epochs", 1)
    assert parse_override("a.b=[1, 2]") == ("a.b", [1, 2])
    assert parse_override("a=x=y") == ("a", "x=y")


def test_numerics_are_the_settings_that_numbers_depend_on():
    def key(overrides, run="open"):
        return digest(load_profile("demo", overrides).numerics(run))

    base = key({})
    assert key({"loader.workers": 3}) == key({"training.checkpoint_minutes": 1}) == base
    assert key({"about": "other words"}) == key({"loader.prefix_cache": True}) == base
    assert key({"encoder.prefix_precision": "float16"}) != base
    assert key({"encoder.last_block": "class_token"}) != base
    assert (
        len({base, key({}, "constrained"), key({"training.epochs": 1}), key({"images.crop": 32})})
        == 4
    )


def numbers(schema, definitions, name=""):
    """Yield every number that a schema of settings holds: its dotted name and its own schema."""
    if "$ref" in schema:
        yield from numbers(definitions[schema["$ref"].rpartition("/")[2]], definitions, name)
    for inner, own in schema.get("properties", {}).items():
        yield from numbers(own, definitions, f"{name}.{inner}".lstrip("."))
    for own in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("prefixItems", ())):
        yield from numbers(own, definitions, name)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from numbers(schema[inner], definitions, name)
    if schema.get("type") in ("integer", "number"):
        yield name, schema


SCHEMA = Profile.model_json_schema()
NUMBERS = list(numbers(SCHEMA, SCHEMA["$defs"]))
# Their bounds are those of a pair, or of the encoder that is read.
OTHERWISE = ("images.augmentation.jpeg_quality", "images.augmentation.resample_size", "head.reads")


def test_every_number_of_the_settings_has_bounds():
    assert len(NUMBERS) > 40
    for name, schema in NUMBERS:
        upper = {"maximum", "exclusiveMaximum"} & schema.keys()
        lower = {"minimum", "exclusiveMinimum"} & schema.keys()
        assert (upper and lower) or name in OTHERWISE, name


@given(
    st.sampled_from([name for name, _ in NUMBERS if not name.startswith("data.sources")]),
    st.one_of(st.floats(), st.integers()),
)
def test_a_number_that_passes_is_one_that_can_be_used(name, number):
    value = [number] * {"encoder.mean": 3, "encoder.std": 3}.get(name, 2)
    wanted = value if name in (*OTHERWISE, "encoder.mean", "encoder.std") else number
    try:
        load_profile("demo", {name: wanted})
    except UserError as error:
        assert f"'{name.split('.')[0]}" in str(error)
    else:
        assert math.isfinite(number) and abs(number) <= 2**32
