"""The run that a command's options name."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerfusion.cli.options import RunOption, SeedChoice
from layerfusion.errors import UserError

if TYPE_CHECKING:
    from layerfusion.progress import Reporter
    from layerfusion.runs.experiment import Experiment
    from layerfusion.runs.record import Run

# Folders of a machine, and what lies below them; not the slash in a name such as model/tag.
_FOLDERS = re.compile(r"(?<![\w.])(?:~|\.{1,2})?/[^\s'\",\]}]*/")


@dataclass(frozen=True, kw_only=True)
class RunChoice(SeedChoice):
    """Options that name a run, as `layerfusion train` takes them."""

    run: RunOption

    def open(self, reporter: "Reporter") -> "Experiment":
        """Open the experiment; raises what `Experiment.open` does."""
        from layerfusion.runs.experiment import Experiment

        return Experiment.open(
            self.run.value,
            profile=self.profile,
            seed=self.seed,
            data_root=self.data_root,
            overrides=self.overrides,
            reporter=reporter,
        )

    def finished(self, experiment: "Experiment") -> "Run":
        """Return the finished run of an experiment that `open` returned.

        Raises
        ------
        UserError
            If there is none; it says how to train it.
        """
        run = experiment.place.read()
        if run is None:
            words = ["layerfusion", "train", *self._options(self.profile, self.data_root)]
            raise UserError(
                "there is no finished run of these settings, images and code on this machine; make "
                f"it with: {shlex.join(words)}"
            )
        return run

    def command(self, name: str, *further: str) -> str:
        """Return a command on this run for other people to read: no folder of this machine."""
        data_root = None if self.data_root is None else Path("DIR")
        options = self._options(Path(self.profile).name, data_root)
        words = [_FOLDERS.sub("", word) for word in options]
        return shlex.join(["layerfusion", name, *words, *further])

    def _options(self, profile: str, data_root: Path | None) -> list[str]:
        words = ["--run", self.run.value, "--profile", profile]
        words += [] if data_root is None else ["--data-root", str(data_root)]
        words += ["--seed", str(self.seed)]
        return words + [word for text in self.settings or [] for word in ("--set", text)]
