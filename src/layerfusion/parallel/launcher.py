"""Which of a run's processes this one is: what torchrun or SLURM's srun say in the environment."""

import os
from dataclasses import dataclass
from typing import Literal

from layerfusion.errors import UserError


@dataclass(frozen=True)
class Launch:
    """How this process was started.

    Attributes
    ----------
    rank
        Its number, from 0, among all processes of the run.
    size
        How many processes the run has.
    local_size
        How many of them are on this machine.
    by
        What started them; None for a process on its own.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    by: Literal["torchrun", "srun"] | None = None

    @property
    def core_sharers(self) -> int:
        """How many processes share the cores that this one sees; srun gives each its own."""
        return self.local_size if self.by == "torchrun" else 1


def launched() -> Launch:
    """Read from the environment how this process was started.

    Raises
    ------
    UserError
        If a variable of theirs is missing or no whole number from 0, or says that this process is
        none of those that it counts.

    Notes
    -----
    torchrun counts first, for it may run inside a SLURM job. A job's batch script sees SLURM's
    variables too, but it is a single process: only what srun starts is one of several.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        size, local_size = _number("WORLD_SIZE"), _number("LOCAL_WORLD_SIZE")
        launch = Launch(_number("RANK"), size, local_size, "torchrun")
    else:
        size = _number("SLURM_STEP_NUM_TASKS", 1)
        local_size = size // max(_number("SLURM_STEP_NUM_NODES", 1), 1)
        launch = Launch(_number("SLURM_PROCID", 0), size, local_size, "srun")
    if launch.size <= 1:
        return Launch()
    if launch.rank >= launch.size:
        raise UserError(
            f"the environment says that this is process {launch.rank} of {launch.size}, counted "
            f"from 0; start it with {launch.by}, or unset what it left there"
        )
    return launch


def _number(variable: str, otherwise: int | None = None) -> int:
    text = os.environ.get(variable)
    if text is None and otherwise is not None:
        return otherwise
    if text is None or not text.isdecimal():
        said = "is not set" if text is None else f"is '{text}', no whole number from 0"
        raise UserError(f"{variable} {said}; torchrun and srun set it, nobody else should")
    return int(text)
