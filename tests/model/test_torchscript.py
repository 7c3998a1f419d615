"""TorchScript archives as data: the tensors that torch reads from them, and nothing executed."""

import pickle
import zipfile

import pytest
import torch
from torch import nn

from layerfusion.model.torchscript import torchscript_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 4, bias=False)
        self.blocks = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
        self.tied = self.blocks[0].weight
        self.register_buffer("counts", torch.arange(6).reshape(2, 3).T)

    def forward(self, images):
        return self.blocks(self.conv1(images).mean((2, 3)))


class Intruder(nn.Module):
    def __init__(self, canary: str):
        super().__init__()
        self.canary = canary

    def forward(self, images):
        return images

    @torch.jit.export
    def __getstate__(self):
        return self.canary, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        written = torch.from_file(state[0], shared=True, size=4).fill_(65.0)
        self.canary = state[0]
        self.training = bool(written.sum() > 0)  # what nobody uses is left out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_are_those_that_torch_reads(dtype, tmp_path):
    archive = tmp_path / "clip.pt"
    torch.jit.script(Tower().to(dtype)).save(archive)
    expected = torch.jit.load(archive).state_dict()
    found = torchscript_tensors(archive)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


def test_no_code_of_an_archive_runs(tmp_path):
    archive, canary = tmp_path / "clip.pt", tmp_path / "canary"
    torch.jit.script(Intruder(str(canary))).save(archive)
    canary.unlink(missing_ok=True)
    assert torchscript_tensors(archive) == {}
    assert not canary.exists()
    torch.jit.load(archive)
    assert canary.exists()  # what would have happened


@pytest.fixture
def archive(tmp_path):
    torch.jit.script(Tower()).save(tmp_path / "clip.pt")
    return tmp_path / "clip.pt"


def rewritten(archive, changed, *, compression=zipfile.ZIP_STORED):
    """The archive with its pickle changed, or with its entries compressed."""
    target = archive.with_name("changed.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, changed(content) if name.endswith("data.pkl") else content)
    return target


def storage(index, count, dtype=b"FloatStorage"):
    """A pickled storage, as torch writes it."""
    return (
        b"(X\x07\0\0\0storagectorch\n"
        + dtype
        + b"\nX\x01\0\0\0%dX\x03\0\0\0cpuK%ctQ" % (index, count)
    )


HOSTILE = {
    "a program": b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.",
    "a program by another name": b"\x80\x02ctorch\nload\nX\x04\0\0\0true\x85R.",
    "a tensor larger than its storage": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    + storage(0, 96)
    + b"K\0J\xff\xff\xff\x7f\x85K\0\x85\x89ccollections\nOrderedDict\n)RtR.",
    "a storage that is not there": b"\x80\x02" + storage(9, 1) + b".",
    "cut off": b"\x80\x02]",
    "nothing": b"",
    "too much": pickle.dumps(b"\0" * 11_000_000),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused(content, archive):
    with pytest.raises((pickle.UnpicklingError, EOFError, KeyError)):
        torchscript_tensors(rewritten(archive, lambda _: content))


def test_a_memo_index_takes_no_memory(archive):
    far = rewritten(archive, lambda _: b"\x80\x02]r\xff\xff\xff\x7f.")  # 34 GB of pointers
    assert torchscript_tensors(far) == {}


def test_compressed_tensors_are_refused(archive):
    packed = rewritten(archive, lambda same: same, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(pickle.UnpicklingError, match="compressed"):
        torchscript_tensors(packed)


def test_modules_that_contain_one_another_end(archive):
    circle = b"\x80\x02c__torch__\nA\n)\x81q\0}X\x01\0\0\0ah\0sb."
    with pytest.raises(pickle.UnpicklingError, match="one another"):
        torchscript_tensors(rewritten(archive, lambda _: circle))
