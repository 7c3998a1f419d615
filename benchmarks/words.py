"""How often `layerfusion inspect`'s words are right, and what saying *unsure* saves.

Inspects some of each class of a tree of validation images with the default detector, without maps,
and counts each word: as the score alone has it, and as it is said once other forms of the picture
have been scored. The words are made on these very images, so that what is learnt here is what the
other forms add. Writes `results/words.json`, with a row an image.

    python benchmarks/words.py --images DIR/val
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from keeping import circumstances, keep, photographs_parser

from layerfusion.apps.evidence.inspection import Inspector
from layerfusion.apps.evidence.levels import EvidenceLevel
from layerfusion.images.finding import files_below
from layerfusion.metrics.uncertainty import share_interval

LABELS = {"real": 0, "0_real": 0, "synthetic": 1, "1_fake": 1}  # of folders


def main() -> None:
    """Print the tables, and keep them with date and hardware."""
    parser = photographs_parser(__doc__, rounds=None)  # in a folder for each class
    parser.add_argument("--count", type=int, default=80, help="of each class")
    parser.add_argument("--seed", type=int, default=1337)
    chosen, found = parser.parse_args(), circumstances()
    inspector = Inspector.load()
    images = drawn(chosen.images, chosen.count, chosen.seed)
    said = pd.DataFrame([_said(inspector, path, label) for path, label in images])
    found |= {
        "per_class": chosen.count,
        "seed": chosen.seed,
        "words": {name: words(said, name) for name in ("alone", "said")},
        "decided": {name: decided(said, name) for name in ("alone", "said")},
        "threshold": inspector.detector.threshold,
        "images": said.to_dict("list"),
    }
    print(json.dumps({name: found[name] for name in ("words", "decided")}, indent=1))
    keep("words", found)


def drawn(folder: Path, count: int, seed: int) -> list[tuple[Path, int]]:
    """Return so many images of each class, with their labels."""
    names = pd.Series(sorted(files_below(folder).images))
    labels = names.map(lambda name: LABELS[Path(name).parts[0]])
    chosen = names.groupby(labels).sample(count, random_state=seed)
    return [(folder / name, int(labels[at])) for at, name in chosen.items()]


def _said(inspector: Inspector, path: Path, label: int) -> dict[str, Any]:
    found = inspector.inspect(path, occlusion=False)
    if found.level is None:
        raise SystemExit(f"{path.name} cannot be read: {found.error}")
    first = found.views[0]
    return {"label": label, "logit": first.logit, "alone": first.level, "said": found.level}


def words(said: pd.DataFrame, name: str) -> dict[str, dict[str, Any]]:
    """Return by word how many images of each class have it, and which share was generated."""
    found = {}
    for word in sorted(EvidenceLevel, reverse=True):
        own = said.loc[said[name] == word, "label"]
        share = share_interval(int(own.sum()), len(own))
        found[word.text] = {
            "photographs": int((own == 0).sum()),
            "generated": int(own.sum()),
            "share_generated": [share.estimate, share.low, share.high] if len(own) else None,
        }
    return found


def decided(said: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return how many are unsure, and how many of the others are called wrongly."""
    sure = said[said[name] != EvidenceLevel.UNSURE]
    wrong = int(((sure[name] >= EvidenceLevel.WEAK) != (sure["label"] == 1)).sum())
    share = share_interval(wrong, len(sure))
    return {
        "unsure": len(said) - len(sure),
        "decided": len(sure),
        "wrong": wrong,
        "share_wrong": [share.estimate, share.low, share.high],
    }


if __name__ == "__main__":
    main()
