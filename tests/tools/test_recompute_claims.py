"""The published claims, recomputed by a program that imports nothing of this package."""

import ast
import shutil
from pathlib import Path

import pandas as pd

import recompute_claims
from layerfusion.paths import reference_folder


def test_published_claims_recompute_without_the_package(capsys):
    folder = reference_folder("photographs")
    assert recompute_claims.main(folder) == 0
    out = capsys.readouterr().out
    assert "43 of 43 published claims" in out and "photographs official fpr" in out


def test_a_published_number_that_was_changed_is_found(tmp_path):
    study = shutil.copytree(
        reference_folder("photographs") / "studies/detectors", tmp_path / "studies/detectors"
    )
    assert recompute_claims.main(tmp_path, ("detectors",)) == 0
    effects = pd.read_csv(study / "effects.csv")
    effects.loc[0, "low"] += 0.001
    effects.to_csv(study / "effects.csv", index=False)
    assert recompute_claims.main(tmp_path, ("detectors",)) == 1


def test_the_rates_of_the_front_page_recompute():
    found = recompute_claims.recompute(reference_folder("photographs"), "detectors")
    shown = reference_folder("demo") / "tables/10_photographs-detectors.csv"
    table = pd.read_csv(shown, index_col="detector")
    for detector in ("photographs", "photographs-paper", "photographs-2026-11", "metadata"):
        for title, rate in {"FPR": "fpr", "recall": "recall", "ROC AUC": "roc_auc"}.items():
            row = found.loc[f"{detector} official {rate}"]
            text = f"{row['effect']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
            assert table.loc[detector, title] == text


def test_it_needs_three_libraries_alone():
    tree = ast.parse(Path(recompute_claims.__file__).read_text())
    imported = {
        (node.names[0].name if isinstance(node, ast.Import) else node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"json", "sys", "fnmatch", "pathlib", "typing", "numpy", "pandas", "scipy"}
