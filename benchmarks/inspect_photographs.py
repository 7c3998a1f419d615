"""Time and memory of `layerfusion inspect`, as a person who types it pays them.

Runs the command on one picture, on one with a page that has its map, and on many, each in a process
of its own. Writes `results/inspect_photographs.json` after each.

    python benchmarks/inspect_photographs.py --images DIR
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from keeping import circumstances, keep

from layerfusion.images.finding import files_below


def main() -> None:
    """Print each measurement, and keep them with date and hardware."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--many", type=int, default=50, help="how many are many")
    chosen, found = parser.parse_args(), circumstances()
    pictures = [chosen.images / name for name in sorted(files_below(chosen.images).images)]
    measured: list[dict[str, Any]] = []
    for count, maps in [(1, False), (1, True), (chosen.many, False)]:
        measured.append(measure(pictures[:count], maps=maps))
        print(json.dumps(measured[-1]), flush=True)
        keep("inspect_photographs", found | {"measured": measured})


def measure(pictures: list[Path], *, maps: bool) -> dict[str, Any]:
    """Return seconds and the largest resident memory of the command on some pictures."""
    with tempfile.TemporaryDirectory() as folder:
        page = ["--report", str(Path(folder) / "report.html")] if maps else []
        command = [sys.executable, "-m", "layerfusion", "inspect", *map(str, pictures), *page]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"inspect ended with {process.returncode}")
        return {
            "pictures": len(pictures),
            "maps": maps,
            "seconds": round(time.perf_counter() - began, 1),
            "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_memory_mib": round(used.ru_maxrss / 2**10),
        }


if __name__ == "__main__":
    main()
