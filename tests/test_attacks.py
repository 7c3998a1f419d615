"""The fuzzer's readers read whole files: what it counts as refused is refused for its damage."""

import importlib.util
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


def test_whole_files_are_read(tmp_path):
    spec = importlib.util.spec_from_file_location("fuzz", PROGRAM)
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    for target in fuzz.targets(tmp_path).values():
        for whole in target.seeds:
            (tmp_path / target.name).write_bytes(whole)
            target.read(tmp_path / target.name)
