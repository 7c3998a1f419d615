"""Cached frozen features: what frozen blocks gave for images they have seen, on the disk.

An entry is one image's frozen tokens. Its name is made of hashes alone, of what computes it and of
the pixels, so it is never out of date and any run, head or scoring finds what another one left.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import open_clip
import torch
from safetensors.torch import load, save
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.model.tower import FrozenTokens
from layerfusion.paths import cache_root
from layerfusion.settings import LoaderSettings, digest

FORMAT = 2
SIZE_VARIABLE = "LAYERFUSION_CACHE_GB"
DEFAULT_GB = 20.0
GB = 10**9

# How full the folder is left by making room, so that one scan of it serves many entries.
_KEPT_SHARE = 0.9
# Entries of other processes are seen at a scan, due whenever this share of the limit was written.
_UNSEEN_SHARE = 0.05


class PrefixCache:
    """Frozen tokens by image, in a folder that never grows beyond a limit.

    Several processes may use one folder at once: entries appear whole, by rename, and those used
    longest ago go first. An entry that is damaged is computed again and replaced. Where nothing can
    be written, a message says so once, and nothing more is cached.

    Parameters
    ----------
    folder
        Where entries lie; made when the first is written.
    limit
        The most that the entries may take, bytes. Each process that writes beside this one may add
        a twentieth of it, before its entries are noticed.
    warn
        Receives a message, once, if nothing can be cached any more.

    Attributes
    ----------
    found, computed : int
        Number of images that were found and computed since this object was made.
    """

    def __init__(self, folder: Path, *, limit: int, warn: Callable[[str], None]) -> None:
        self.folder, self.limit, self.warn = folder, limit, warn
        self.found = self.computed = 0
        self._storing = True
        self._room = 0.0  # bytes that this process may write before it looks at the folder again

    def frozen_tokens(
        self, images: Tensor, identity: Mapping[str, Any], compute: Callable[[Tensor], FrozenTokens]
    ) -> FrozenTokens:
        """Return the frozen tokens of a batch: those that are known, and the others computed.

        Those that are not known are computed as one batch, each different image once. The numbers
        are those of `compute`, of a batch that may have had another size: that moves the last bits
        of matrix products.

        Parameters
        ----------
        images
            Shape (batch, 3, height, width), uint8, on any device.
        identity
            What `compute` depends on beside the pixels and the machine, as plain JSON values.
        compute
            Maps such images to frozen tokens on the same device.
        """
        folder = self.folder / digest({"prefix": identity, **_computing(images.device.type)})
        paths = [folder / key[:2] / key[2:] for key in map(_pixels_sha256, images.cpu())]
        first = {path: row for row, path in reversed(list(enumerate(paths)))}
        known = {path: entry for path in first if (entry := self._read(path)) is not None}
        missing = sorted(first.keys() - known.keys(), key=first.__getitem__)
        if missing:
            rows = torch.tensor([first[path] for path in missing], device=images.device)
            computed = (part.cpu() for part in compute(images[rows]))
            known |= zip(missing, map(FrozenTokens, *computed), strict=True)
        for path in missing:
            self._store(path, known[path])
        self.computed += len(missing)
        self.found += len(paths) - len(missing)
        with torch.autocast("cpu", enabled=False):  # bf16 autocast refuses to stack float16
            batch = map(torch.stack, zip(*(known[path] for path in paths), strict=True))
            return FrozenTokens(*(part.to(images.device) for part in batch))

    def _read(self, path: Path) -> FrozenTokens | None:
        """Return an entry; None if there is none, or it is damaged or another one's."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[:-4]
        if _checksum(path, body) != data[-4:]:
            return None
        with suppress(OSError):  # a folder that is read-only can still be read
            os.utime(path)
        return FrozenTokens(**load(body))

    def _store(self, path: Path, entry: FrozenTokens) -> None:
        """Write an entry: safetensors, then the CRC-32 of its name and that."""
        if not self._storing:
            return
        body: bytes = save({name: part.contiguous() for name, part in entry._asdict().items()})
        data = body + _checksum(path, body)
        try:
            self._make_room(len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            with in_place_of(path, shared=True) as partial:
                partial.write_bytes(data)
        except FileNotFoundError:
            return  # the folder was emptied meanwhile; the next entry makes it again
        except OSError as error:
            self._storing = False
            self.warn(
                f"nothing more is cached in {self.folder}: {error.strerror or error}; frozen "
                "features will be computed again"
            )
        self._room -= len(data)

    def _make_room(self, size: int) -> None:
        """Remove what was used longest ago if `size` more bytes would be too many."""
        if size > self.limit:
            raise OSError(f"one image takes {size:,} bytes, and {SIZE_VARIABLE} allows fewer")
        if size <= self._room:
            return
        entries = sorted(_entries(self.folder))
        total = sum(size for _, size, _ in entries)
        if total + size > self.limit:
            for _, freed, path in entries:
                if total + size <= _KEPT_SHARE * self.limit:
                    break
                path.unlink(missing_ok=True)
                total -= freed
        self._room = min(self.limit - total, max(size, _UNSEEN_SHARE * self.limit))


def open_prefix_cache(loader: LoaderSettings, warn: Callable[[str], None]) -> PrefixCache | None:
    """Return the user's cache, ``prefix`` below `cache_root`, or None if the loader uses none.

    It may take ``$LAYERFUSION_CACHE_GB``, 20 GB unless that is set.

    Parameters
    ----------
    warn
        Receives a message, once, if nothing can be cached any more.

    Raises
    ------
    UserError
        If ``LAYERFUSION_CACHE_GB`` is not a number above 0.
    """
    if not loader.prefix_cache:
        return None
    text = os.environ.get(SIZE_VARIABLE) or str(DEFAULT_GB)
    try:
        size = float(text) * GB
    except ValueError:
        size = 0.0
    if not 1 <= size < float("inf"):
        raise UserError(
            f"{SIZE_VARIABLE} is '{text}'; give the largest size of the cache in GB (10^9 bytes), "
            f"a number above 0 such as {DEFAULT_GB:g}"
        )
    return PrefixCache(cache_root() / "prefix", limit=int(size), warn=warn)


def _computing(device_type: str) -> dict[str, Any]:
    """Return what moves bits on this machine, beside the numbers that are computed with."""
    reduced = torch.is_autocast_enabled(device_type)
    return {
        "format": FORMAT,
        "device": device_type,
        "dtype": str(torch.get_autocast_dtype(device_type) if reduced else torch.float32),
        "libraries": [torch.__version__, open_clip.__version__],
    }


def _pixels_sha256(image: Tensor) -> str:
    content = sha256(f"{tuple(image.shape)} {image.dtype}\n".encode())
    content.update(image.contiguous().numpy().data)
    return content.hexdigest()


def _checksum(path: Path, body: bytes) -> bytes:
    """Return the CRC-32 of an entry's bytes and of its place, so that none stands for another."""
    name = "/".join(path.parts[-3:])
    return crc32(body, crc32(name.encode())).to_bytes(4, "little")


def _entries(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield (time of last use in ns, bytes, path) of every file below a folder.

    What other processes remove meanwhile is passed over; what one of them left half-written counts.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(OSError):
                status = path.stat()
                yield status.st_mtime_ns, status.st_size, path
