"""Cached frozen features: what frozen blocks gave for images they have seen.

On the disk an entry is one image's frozen tokens, in memory a whole batch's. Its name is made of
hashes alone, of what computes it and of the pixels, so it is never out of date and any run, head or
scoring finds what another one left.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from layerfusion.errors import UserError
from layerfusion.files import in_place_of
from layerfusion.model.encoder import FrozenTokens
from layerfusion.paths import cache_root
from layerfusion.settings import LoaderSettings, digest

FORMAT = 1
SIZE_VARIABLE = "LAYERFUSION_CACHE_GB"
DEFAULT_GB = 20.0
GB = 10**9

MEMORY_LIMIT = 256 * 10**6  # bytes: ten times the demo's validation images, hundreds of ViT-L/14

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
    found, computed, stored : int
        Number of images that were found, computed and cached since this object was made.
    """

    def __init__(self, folder: Path, *, limit: int, warn: Callable[[str], None]) -> None:
        self.folder, self.limit, self.warn = folder, limit, warn
        self.found = self.computed = self.stored = 0
        self._storing = True
        self._total: int | None = None  # bytes in the folder, as far as this process knows
        self._unseen = 0  # bytes written since it last looked

    def frozen_tokens(
        self,
        images: Tensor,
        *,
        identity: Mapping[str, Any],
        compute: Callable[[Tensor], FrozenTokens],
        fits: Callable[[FrozenTokens], bool],
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
        fits
            Says whether what was read can be the tokens of one image: shapes, without a batch, and
            dtypes.
        """
        folder = self.folder / digest({"prefix": identity, **_computing(images.device.type)})
        paths = [folder / key[:2] / key[2:] for key in map(_pixels_sha256, images.cpu())]
        first = {path: row for row, path in reversed(list(enumerate(paths)))}
        known = {path: self._read(path, fits) for path in first}
        missing = sorted((path for path in first if known[path] is None), key=first.__getitem__)
        if missing:
            rows = torch.tensor([first[path] for path in missing], device=images.device)
            known |= zip(missing, self._compute(images[rows], compute, missing), strict=True)
        self.computed += len(missing)
        self.found += len(paths) - len(missing)
        return _batch([entry for path in paths if (entry := known[path])], images.device)

    def _compute(
        self, images: Tensor, compute: Callable[[Tensor], FrozenTokens], paths: list[Path]
    ) -> list[FrozenTokens]:
        batch = FrozenTokens(*(part.cpu() for part in compute(images)))
        entries = [FrozenTokens(*parts) for parts in zip(*batch, strict=True)]
        for path, entry in zip(paths, entries, strict=True):
            if self._storing:
                self._store(path, _packed(entry))
        return entries

    def _read(self, path: Path, fits: Callable[[FrozenTokens], bool]) -> FrozenTokens | None:
        try:
            entry = _unpacked(path.read_bytes())
        except OSError:
            return None
        if entry is None or not fits(entry):
            return None
        with suppress(OSError):  # a folder that is read-only can still be read
            os.utime(path)
        return entry

    def _store(self, path: Path, data: bytes) -> None:
        try:
            self._make_room(len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            with in_place_of(path, shared=True) as partial:
                partial.write_bytes(data)
        except FileNotFoundError:
            return  # the folder was emptied meanwhile; the next entry makes it again
        except OSError as error:
            self._stop(f"nothing more is cached in {self.folder}: {error.strerror or error}")
            return
        self._total = (self._total or 0) + len(data)
        self._unseen += len(data)
        self.stored += 1

    def _stop(self, reason: str) -> None:
        self._storing = False
        self.warn(f"{reason}; frozen features will be computed again")

    def _make_room(self, size: int) -> None:
        """Remove what was used longest ago if `size` more bytes would be too many."""
        if size > self.limit:
            raise OSError(f"one image takes {size:,} bytes, and {SIZE_VARIABLE} allows fewer")
        if self._total is None or self._unseen > _UNSEEN_SHARE * self.limit:
            self._total, self._unseen = sum(size for _, size, _ in _entries(self.folder)), 0
        if self._total + size <= self.limit:
            return
        entries = sorted(_entries(self.folder))
        self._total, self._unseen = sum(size for _, size, _ in entries), 0
        for _, freed, path in entries:
            if self._total + size <= _KEPT_SHARE * self.limit:
                break
            Path(path).unlink(missing_ok=True)
            self._total -= freed


class BatchMemory:
    """Frozen tokens by batch, up to `limit` bytes; what no longer fits is computed every time.

    Unlike `PrefixCache` it knows whole batches only, so that tokens are those of the very
    computation that it spares, to the last bit.
    """

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._free = limit
        self._known: dict[str, FrozenTokens] = {}

    def frozen_tokens(
        self,
        images: Tensor,
        *,
        identity: Mapping[str, Any],
        compute: Callable[[Tensor], FrozenTokens],
        fits: Callable[[FrozenTokens], bool],  # not asked: nothing is read from a file
    ) -> FrozenTokens:
        """Return the frozen tokens of a batch, as `PrefixCache.frozen_tokens`."""
        described = {"prefix": identity, **_computing(images.device.type)}
        key = digest(described | {"batch": _pixels_sha256(images.cpu())})
        if key in self._known:
            return self._known[key]
        tokens = compute(images)
        size = sum(part.nbytes for part in tokens)
        if size <= self._free:
            self._known[key] = tokens
            self._free -= size
        return tokens


# Of this process: runs that share their frozen blocks validate on the same images.
BATCH_MEMORY = BatchMemory()


def open_prefix_cache(loader: LoaderSettings, warn: Callable[[str], None]) -> PrefixCache | None:
    """Return the user's cache, ``prefix`` below `cache_root`, or None if the loader uses none.

    Parameters
    ----------
    warn
        Receives a message, once, if nothing can be cached any more.

    Raises
    ------
    UserError
        If ``LAYERFUSION_CACHE_GB`` is not a size.
    """
    if not loader.prefix_cache:
        return None
    return PrefixCache(cache_root() / "prefix", limit=size_limit(), warn=warn)


def size_limit() -> int:
    """Return how many bytes the cache may take: ``$LAYERFUSION_CACHE_GB``, 20 GB unless set.

    Raises
    ------
    UserError
        If that is not a number above 0.
    """
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
    return int(size)


def _computing(device_type: str) -> dict[str, Any]:
    """Return what moves bits on this machine, beside the numbers that are computed with."""
    reduced = torch.is_autocast_enabled(device_type)
    return {
        "format": FORMAT,
        "device": device_type,
        "dtype": str(torch.get_autocast_dtype(device_type) if reduced else torch.float32),
        "libraries": _libraries(),
    }


@lru_cache
def _libraries() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "open_clip_torch")}


def _pixels_sha256(image: Tensor) -> str:
    content = sha256(f"{tuple(image.shape)} {image.dtype}\n".encode())
    content.update(image.contiguous().numpy().data)
    return content.hexdigest()


def _batch(entries: list[FrozenTokens], device: torch.device) -> FrozenTokens:
    """Stack the tokens of single images, in order, on a device."""
    with torch.autocast("cpu", enabled=False):  # bf16 autocast refuses to stack float16
        batch = FrozenTokens(*(torch.stack(parts) for parts in zip(*entries, strict=True)))
    return FrozenTokens(*(part.to(device) for part in batch))


def _packed(entry: FrozenTokens) -> bytes:
    """Return an entry's bytes: safetensors, then the CRC-32 of that."""
    body: bytes = save({name: part.contiguous() for name, part in entry._asdict().items()})
    return body + crc32(body).to_bytes(4, "little")


def _unpacked(data: bytes) -> FrozenTokens | None:
    """Return the entry that was packed, None if it is damaged."""
    body = data[:-4]
    if crc32(body).to_bytes(4, "little") != data[-4:]:
        return None
    try:
        return FrozenTokens(**load(body))
    except (SafetensorError, TypeError):
        return None


def _entries(folder: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (time of last use in ns, bytes, path) of every file below a folder.

    What other processes remove meanwhile is passed over; what one of them left half-written counts.
    """
    with suppress(OSError), os.scandir(folder) as inside:
        for item in inside:
            if item.is_dir(follow_symlinks=False):
                yield from _entries(Path(item.path))
                continue
            with suppress(OSError):
                status = item.stat(follow_symlinks=False)
                yield status.st_mtime_ns, status.st_size, item.path
