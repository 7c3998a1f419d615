"""Where a number comes from: code, versions, hardware."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from layerfusion.arithmetic import arithmetic
from layerfusion.paths import PACKAGE, project_root
from layerfusion.recipe import RECIPE

if TYPE_CHECKING:
    import torch

# The libraries that compute; another version of one may change a number.
LIBRARIES = [
    "torch", "torchvision", "open_clip_torch", "pillow", "simplejpeg", "opencv-python-headless",
    "numpy", "lightning-fabric",
]  # fmt: skip

# What numerical libraries choose their kernels by, as Linux calls it.
INSTRUCTION_SETS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512dq", "avx512bw",
    "avx512vl", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16",
)  # fmt: skip


def library_versions() -> dict[str, str]:
    """Return the installed version of each library that computes."""
    return {name: version(name) for name in LIBRARIES}


@cache
def code_sha256() -> str:
    """Return the sha256 of the package's modules as this process found them, as 64 hex digits.

    A record says by it which code was at work where no commit does. No key depends on it.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def provenance() -> dict[str, Any]:
    """Return git commit and dirty flag (None outside a checkout), versions and hardware."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if (status := _git("status", "--porcelain")) is None else status != "",
        "recipe": RECIPE,
        "code_sha256": code_sha256(),
        "layerfusion": version("layerfusion"),
        "python": platform.python_version(),
        "libraries": library_versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "arithmetic": arithmetic(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu,
    }


def unchanged_commit() -> str | None:
    """Return the short hash of the commit that the checkout is, None if it is not one exactly."""
    return None if _git("status", "--porcelain") != "" else _git("rev-parse", "--short", "HEAD")


def peak_memory_mib() -> dict[str, float | None]:
    """Return the largest resident memory of this process so far and of the GPU, in MiB."""
    import torch

    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"process": _peak_resident_mib(), "gpu": gpu}


def device_name(device: "torch.device") -> str:
    """Return the name of a GPU, or that of the processor."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()["name"]


def _peak_resident_mib() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def processor() -> dict[str, Any]:
    """Return what kind of processor this is.

    Returns
    -------
    dict
        ``name``; ``vendor``, ``family`` and ``model``, for a name such as "AMD EPYC" is that of
        many; ``flags``, those of its instruction sets that numerical libraries ask for. What the
        system does not say is None.
    """
    said = _cpuinfo()
    flags = set((said.get("flags") or said.get("Features") or "").split())
    return {
        "name": said.get("model name") or platform.processor() or platform.machine(),
        "vendor": said.get("vendor_id"),
        "family": _number(said.get("cpu family")),
        "model": _number(said.get("model")),
        "flags": [name for name in INSTRUCTION_SETS if name in flags],
    }


def processor_name(made: Mapping[str, Any]) -> str:
    """Return the processor's name of a record's provenance; earlier records have it alone."""
    told = made["processor"]
    return str(told if isinstance(told, str) else told["name"])


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first core; nothing elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments],  # noqa: S607, the one that a person's shell finds
            cwd=project_root(),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
