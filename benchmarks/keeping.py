"""What benchmarks have in common: how values spread, and results that say when and where."""

import json
import os
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layerfusion.provenance import provenance

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


def keep(name: str, found: dict[str, Any]) -> None:
    """Write `results/<name>.json`: what was found, on what hardware and with which versions."""
    kept = found | {"provenance": provenance()}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
