"""Where things lie: a tilde is the home folder, wherever a path is given."""

import sys
from pathlib import Path

import pytest

from layerfusion.cli import main
from layerfusion.paths import cache_root, runs_root, with_home


@pytest.mark.parametrize(
    ("given", "found"),
    [("~/a", "HOME/a"), ("~", "HOME"), ("--out=~/a b.csv", "--out=HOME/a b.csv"),
     ("a~/b", "a~/b"), ("--set=x=~/b", "--set=x=~/b"), ("~nobody", "~nobody"), ("", "")],
)  # fmt: skip
def test_a_tilde_is_the_home_folder(given, found, monkeypatch):
    monkeypatch.setenv("HOME", "HOME")
    assert with_home(given) == found


@pytest.mark.parametrize("where", [runs_root, cache_root])
def test_variables_may_have_a_tilde(where, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("LAYERFUSION_RUNS", "LAYERFUSION_CACHE"):
        monkeypatch.setenv(variable, "~/there")
    assert where() == tmp_path / "there"


def test_options_may_have_a_tilde(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["layerfusion", "score", "~/none.jpg", "--out=~/no/a.csv"])
    with pytest.raises(SystemExit):
        main.main()
    assert str(tmp_path / "no") in capsys.readouterr().err
    assert list(Path().iterdir()) == []
