"""Files of CLIP's weights in every form: the class tokens are those of the tower they came from."""

import json
import pickle
import zipfile

import numpy as np
import onnx
import open_clip
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from layerfusion.errors import UserError
from layerfusion.model.encoder import ClassTokenEncoder
from layerfusion.model.weight_files import file_activation, openclip_names, read_visual_weights
from layerfusion.model.weights import build_tower, encoder_identity, resolved
from layerfusion.settings import EncoderSettings
from weight_forms import export, huggingface, rounded, save, whole_model


@pytest.fixture(scope="module")
def tower():
    """The tiny tower with every tensor drawn: equal ones could be taken for each other."""
    generator = torch.Generator().manual_seed(3)
    visual = open_clip.create_model("demo-tiny", load_weights=False).visual.eval()
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            parameter.normal_(std=0.1, generator=generator)
            if "ln_" in name and name.endswith("weight"):
                parameter.add_(1)
    return visual


@pytest.fixture(scope="module")
def named(tower):
    return huggingface(dict(tower.state_dict()))


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(4))


def tokens_of(visual, images):
    with torch.no_grad():
        return ClassTokenEncoder(visual, trained_blocks=0).eval()(images)


def read(path, images, **settings):
    settings = EncoderSettings(model="demo-tiny", weights=str(path), **settings)
    return tokens_of(build_tower(settings), images)


def close(found, expected, within=1e-6):
    torch.testing.assert_close(found, expected, rtol=0, atol=within)


@pytest.mark.parametrize("text_tower", [False, True])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_hugging_face_files(suffix, text_tower, tower, named, images, tmp_path):
    path = tmp_path / f"model.{suffix}"
    tensors = whole_model(named) if text_tower else named
    (save_file if suffix == "safetensors" else torch.save)(tensors, path)
    close(read(path, images), tokens_of(tower, images))
    assert torch.equal(read_visual_weights(path)["proj"], tower.proj)


@pytest.mark.parametrize("prefix", ["model.", "clip.", None])
def test_a_tower_inside_another_model_or_saved_without_a_prefix(
    prefix, named, tower, images, tmp_path
):
    bare = {name.removeprefix("vision_model."): tensor for name, tensor in named.items()}
    found = bare if prefix is None else {prefix + name: t for name, t in named.items()}
    save_file(found, tmp_path / "m.safetensors")
    close(read(tmp_path / "m.safetensors", images), tokens_of(tower, images))


@pytest.mark.parametrize("form", ["float32", "named"])
def test_onnx_exports_in_float32(form, named, tower, images, tmp_path):
    path = save(export(named, form), tmp_path / "m.onnx")
    close(read(path, images), tokens_of(tower, images))


def test_onnx_exports_in_float16(named, tower, images, tmp_path):
    path = save(export(named, "float16"), tmp_path / "m.onnx")
    half = {name: tensor.half().float() for name, tensor in named.items()}
    save_file(half, tmp_path / "half.safetensors")
    close(read(path, images), read(tmp_path / "half.safetensors", images))
    close(read(path, images), tokens_of(tower, images), within=0.05)


@pytest.mark.parametrize("form", ["int8", "uint8", "qdq"])
def test_onnx_exports_in_8_bits(form, named, tower, images, tmp_path):
    path = save(export(whole_model(named), form), tmp_path / "m.onnx")
    save_file(rounded(named, form), tmp_path / "rounded.safetensors")
    close(read(path, images), read(tmp_path / "rounded.safetensors", images))
    weight = read_visual_weights(path)["transformer.resblocks.3.attn.in_proj_weight"]
    original = tower.state_dict()["transformer.resblocks.3.attn.in_proj_weight"]
    step = (original.abs().max() / 100).item()
    close(weight, original, within=step)


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-16", "ViT-L-14"])
def test_names_and_shapes_of_the_models_that_people_have(model):
    config = open_clip.get_model_config(model)
    with torch.device("meta"):
        clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    state = clip.visual.state_dict()
    found = openclip_names(huggingface(state), "vision_model.")
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in state.items()}


# --- what such a file says of its model ----------------------------------------------------------


def write_beside(folder, named, name="config.json", **config):
    save_file(named, folder / "model.safetensors")
    (folder / name).write_text(json.dumps(config))
    return folder / "model.safetensors"


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}}, "gelu"),
        ({"model_type": "clip", "vision_config": {"hidden_act": "quick_gelu"}}, "quick_gelu"),
        ({"model_type": "clip_vision_model", "hidden_act": "gelu"}, "gelu"),
        ({"model_type": "clip"}, "quick_gelu"),
        ({"model_type": "dinov2", "hidden_act": "gelu"}, None),
    ],
)
def test_the_activation_stands_in_the_configuration_beside(config, activation, named, tmp_path):
    path = write_beside(tmp_path, named, **config)
    assert file_activation(path) == activation
    (tmp_path / "onnx").mkdir()
    exported = save(export(named, "float32", activation="Softmax"), tmp_path / "onnx" / "m.onnx")
    assert file_activation(exported) == activation


def test_an_activation_that_is_not_clips_is_refused(named, tmp_path):
    path = write_beside(tmp_path, named, model_type="clip", vision_config={"hidden_act": "relu"})
    with pytest.raises(UserError, match="names the activation 'relu'"):
        file_activation(path)


@pytest.mark.parametrize(
    ("operator", "activation"), [("Sigmoid", "quick_gelu"), ("Erf", "gelu"), ("Relu", None)]
)
def test_the_activation_of_an_export_stands_in_its_graph(operator, activation, named, tmp_path):
    path = save(export(named, "float32", activation=operator), tmp_path / "m.onnx")
    assert file_activation(path) == activation


def test_statistics_stand_in_the_preprocessor_configuration_beside(named, tmp_path):
    statistics = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 0.5]}
    path = write_beside(tmp_path, named, "preprocessor_config.json", **statistics)
    settings = EncoderSettings(model="demo-tiny", weights=str(path))
    assert resolved(settings).std == (0.5, 0.25, 0.5)
    identity = encoder_identity(settings)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": 3}')
    assert resolved(settings).mean[0] == pytest.approx(0.48145466)
    assert encoder_identity(settings) != identity


# --- what is refused, and how it is said ---------------------------------------------------------


def refused(path, words):
    with pytest.raises(UserError, match=words) as caught:
        build_tower(EncoderSettings(model="demo-tiny", weights=str(path)))
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize("suffix", ["safetensors", "bin", "onnx"])
def test_a_file_that_is_cut_off_is_refused(suffix, named, tmp_path):
    path = tmp_path / f"m.{suffix}"
    if suffix == "onnx":
        save(export(named, "int8"), path)
    else:
        (save_file if suffix == "safetensors" else torch.save)(named, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "cannot be read as CLIP weights")


def test_an_archive_whose_list_of_names_is_damaged_is_refused(named, tmp_path):
    path = tmp_path / "m.bin"
    torch.save(named, path)
    content = path.read_bytes()
    entry = content.index(b"PK\x01\x02") + 46
    path.write_bytes(content[:entry] + b"\xac" + content[entry + 1 :])
    refused(path, "cannot be read as CLIP weights")


class Trap:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("suffix", ["safetensors", "bin", "onnx", "pt"])
def test_a_pickle_under_any_name_is_refused_and_not_executed(suffix, tmp_path, capsys):
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(pickle.dumps({"state_dict": Trap()}))
    refused(path, "cannot be read as CLIP weights|no tensors")
    torch.save({"state_dict": Trap()}, path)
    refused(path, "cannot be read as CLIP weights")
    assert "executed" not in capsys.readouterr().out


def test_shapes_of_another_model_are_refused(named, tmp_path):
    place = "vision_model.embeddings.position_embedding.weight"
    for tensor in (torch.zeros(7, 32), torch.zeros(37, 64)):
        save_file(named | {place: tensor}, tmp_path / "m.safetensors")
        refused(tmp_path / "m.safetensors", "positional_embedding should have shape")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"self_attn.q_proj.weight": None}, "do not make up one"),
        ({"self_attn.v_proj.bias": torch.zeros(5)}, "do not make up one"),
        ({"mlp.fc1.bias": None}, "c_fc.bias should have shape .* and is missing"),
        ({"self_attn.qkv.weight": torch.zeros(4, 4)}, "which has no transformer"),
        ({"mlp.gate": torch.zeros(4)}, "which has no transformer"),
    ],
)
def test_a_tower_with_other_tensors_is_refused(change, words, named, tmp_path):
    for name, tensor in change.items():
        changed = named | {f"vision_model.encoder.layers.2.{name}": tensor}
        save_file({n: t for n, t in changed.items() if t is not None}, tmp_path / "m.safetensors")
        path = tmp_path / "m.safetensors"
        with pytest.raises(UserError, match=words):
            build_tower(EncoderSettings(model="demo-tiny", weights=str(path)))


@pytest.mark.parametrize("name", ["visual.layer1.0.conv1.weight", "embeddings.cls_token"])
def test_another_layout_is_named(name, tmp_path):
    save_file({name: torch.zeros(3)}, tmp_path / "m.safetensors")
    refused(tmp_path / "m.safetensors", f"holds 1 tensors, such as '{name}'; expected is a CLIP")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_what_lies_beside_weights_leads_to_no_other_folder(name, named, tmp_path):
    (tmp_path / "theirs").mkdir()
    path = write_beside(tmp_path / "theirs", named, "own.json")
    (tmp_path / "mine.json").write_text('{"model_type": "clip", "vision_config": {}}')
    (path.parent / name).symlink_to(tmp_path / "mine.json")
    with pytest.raises(UserError, match=f"{name} is a link that leads out of the folder"):
        resolved(EncoderSettings(model="demo-tiny", weights=str(path)))


def test_a_file_of_something_else_is_named(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "m.bin")
    refused(tmp_path / "m.bin", "holds a list instead of named tensors")
    torch.save({"epoch": 3}, tmp_path / "m.bin")
    refused(tmp_path / "m.bin", "holds no tensors")


def elsewhere(model):
    pointer = model.graph.initializer[5]
    pointer.ClearField("raw_data")
    pointer.data_location = TensorProto.EXTERNAL
    pointer.external_data.add(key="location", value="../../etc/passwd")


def damaged(model):
    model.graph.initializer[0].raw_data = b"short"


def other_channels(model):
    scale = next(t for t in model.graph.initializer if t.name.endswith("_scale"))
    scale.dims[0] -= 1
    scale.raw_data = scale.raw_data[:-4]


def nameless(model):
    for number, node in enumerate(model.graph.node):
        node.name = f"node_{number}"


@pytest.mark.parametrize(
    ("spoil", "form", "words"),
    [
        (elsewhere, "float32", "keeps its weights in another file"),
        (damaged, "int8", "a tensor in it is damaged"),
        (other_channels, "int8", "scales for"),
        (nameless, "float32", "does not say which layers"),
    ],
)
def test_a_spoiled_export_is_refused(spoil, form, words, named, tmp_path):
    model = export(named, form)
    spoil(model)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())  # unlike onnx, without a check
    refused(tmp_path / "m.onnx", words)


def test_a_graph_in_a_circle_and_a_constant_without_a_name_are_refused(tmp_path):
    circle = [
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Identity", ["b"], ["a"]),
        helper.make_node("MatMul", ["x", "a"], ["y"]),
    ]
    nameless = [helper.make_node("Constant", [], [], value=numpy_helper.from_array(np.eye(2)))]
    for number, nodes in enumerate((circle, nameless)):
        path = tmp_path / f"{number}.onnx"
        onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), path)
        with pytest.raises(UserError, match="cannot be read as CLIP weights"):
            read_visual_weights(path)


def test_a_checkpoint_that_expands_is_refused(tmp_path):
    tower = {"class_embedding": torch.zeros(8), "conv1.weight": torch.zeros(8, 3, 4, 4)}
    torch.save(tower, tmp_path / "whole.pt")
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert read_visual_weights(tmp_path / "whole.pt")
    with pytest.raises(UserError, match="cannot be read as CLIP weights"):
        read_visual_weights(tmp_path / "packed.pt")
