"""What benchmarks have in common: how values spread, and results that say when and where."""

import argparse
import json
import os
import re
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from layerfusion.provenance import device_name, provenance

RESULTS = Path(__file__).resolve().parent / "results"


def circumstances() -> dict[str, Any]:
    """Return when a benchmark began, and how busy the machine was with other things."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load_average": os.getloadavg()[0],
    }


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """Return the least, the median and the largest of some values."""
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def photographs_parser(about: str, *, rounds: int | None = 5) -> argparse.ArgumentParser:
    """Return the options of a benchmark that looks at images of a folder."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def of_device(name: str, device: torch.device) -> str:
    """Return the name of a result that each kind of device has its own of."""
    words = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    return f"{name}-{device.type}-{words}"


def matmul_rate(kind: torch.dtype, side: int, device: str | torch.device = "cpu") -> float:
    """Return the largest rate of plain matrix products, floating-point operations a second."""
    one, other = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    on_gpu = torch.device(device).type == "cuda"
    seconds = []
    for _ in range(36 if on_gpu else 6):
        begun = time.perf_counter()
        one @ other
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / min(seconds)


def keep(name: str, found: dict[str, Any]) -> None:
    """Write `results/<name>.json`: what was found, on what hardware and with which versions."""
    kept = found | {"provenance": provenance()}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
