"""Where a number comes from: code, versions, hardware."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from layerfusion.arithmetic import arithmetic
from layerfusion.paths import PACKAGE, project_root

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

# Modules that make no number of a trained run: changing them leaves every finished run valid. They
# show numbers, or make others of finished runs, whose keys take these modules in by name. What is
# below demo/ comes before a run, which knows it by the hash of its images and weights; so does what
# finds the images of a published set, for its rows are in the hash of the images.
PRESENTATION = {
    "__main__.py", "analysis/", "chapters/", "cli/", "data/card.py", "data/check.py",
    "data/croissant.py", "data/integrity.py", "data/labels.py", "data/sources/coco.py",
    "data/sources/corvi.py", "data/sources/itw_sm.py", "data/sources/mediaeval_test.py",
    "data/sources/published.py", "data/sources/registry.py", "data/sources/synthbuster.py",
    "data/sources/tree.py", "data/sources/truefake.py", "data/sources/wang.py",
    "data/sources/world.py", "demo/", "events.py", "evidence/", "figures/",
    "files.py", "images/degradations.py", "images/jpeg_quality.py", "images/resizing.py",
    "images/severity.py", "metrics/significance.py", "metrics/uncertainty.py",
    "model/fetching.py", "model/hub.py",
    "model/openclip_tags.py", "paper/", "parallel/allocation.py", "parallel/stopping.py",
    "paths.py", "progress.py", "provenance.py", "release/", "rivals/", "runs/conditions.py",
    "scoring/classifier.py", "scoring/files.py", "scoring/inputs.py", "scoring/reference.py",
    "scoring/shipped.py", "studies/", "task/", "training/disk.py", "training/waiting.py",
}  # fmt: skip
_PRESENTATION_FOLDERS = tuple(name for name in PRESENTATION if name.endswith("/"))


def library_versions() -> dict[str, str]:
    """Return the installed version of each library that computes."""
    return {name: version(name) for name in LIBRARIES}


def code_sha256(also: Collection[str] = ()) -> str:
    """Return the sha256 of the package's modules that a run's numbers depend on, as 64 hex digits.

    Parameters
    ----------
    also
        Modules to take in besides, for numbers that are made of finished runs: paths below the
        package, such as ``studies/study.py``.

    Raises
    ------
    ValueError
        If one of these is no module of the package.
    """
    modules = _sources(PACKAGE)
    if unknown := set(also) - modules.keys():
        raise ValueError(f"the package has no module {min(unknown)}")
    digest = hashlib.sha256()
    for name, source in sorted(modules.items()):
        left_out = name in PRESENTATION or name.startswith(_PRESENTATION_FOLDERS)
        if name in also or not left_out:
            digest.update(f"{name}\n".encode() + source)
    return digest.hexdigest()


def package_sha256() -> str:
    """Return the sha256 of all of the package's modules, as 64 hex digits."""
    return code_sha256(_sources(PACKAGE))


@cache
def _sources(package: Path) -> dict[str, bytes]:
    """Return the package's modules; read once, for a process goes on with the code it began with.

    Otherwise an edit in the middle of a training would change the key that its record gets.
    """
    return {
        path.relative_to(package).as_posix(): path.read_bytes() for path in package.rglob("*.py")
    }


def provenance() -> dict[str, Any]:
    """Return git commit and dirty flag (None outside a checkout), versions and hardware."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if (status := _git("status", "--porcelain")) is None else status != "",
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
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"process": _peak_resident_mib(), "gpu": gpu}


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or that of the processor."""
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
