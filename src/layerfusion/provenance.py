"""Where a number comes from: code, versions, hardware."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from layerfusion.paths import PACKAGE, project_root

# The libraries that compute; another version of one may change a number.
LIBRARIES = ["torch", "torchvision", "open_clip_torch", "pillow", "numpy", "lightning-fabric"]

# Modules that show numbers but make none: changing them leaves every finished run valid.
PRESENTATION = {
    "chapter_source.py", "chapters.py", "cli.py",
    "figures.py", "paper.py", "paths.py", "progress.py", "provenance.py",
    "scoring.py", "tables.py",
}  # fmt: skip


def library_versions() -> dict[str, str]:
    """Return the installed version of each library that computes."""
    return {name: version(name) for name in LIBRARIES}


def code_sha256() -> str:
    """Return the sha256 of the package's modules that numbers depend on, as 64 hex digits."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in PRESENTATION:
            digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


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
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu,
    }


def peak_memory_mib() -> dict[str, float | None]:
    """Return the largest resident memory of this process so far and of the GPU, in MiB."""
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"process": _peak_resident_mib(), "gpu": gpu}


def _peak_resident_mib() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=project_root(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
