"""Which of a run's processes this one is: what torchrun or SLURM's srun say in the environment."""

import os
from dataclasses import dataclass
from typing import Literal


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

    torchrun counts first, for it may run inside a SLURM job. A job's batch script sees SLURM's
    variables too, but it is a single process: only what srun starts is one of several.
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        size, local_size = int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"])
        launch = Launch(int(env["RANK"]), size, local_size, "torchrun")
    else:
        size = int(env.get("SLURM_STEP_NUM_TASKS", 1))
        local_size = size // int(env.get("SLURM_STEP_NUM_NODES", 1))
        launch = Launch(int(env.get("SLURM_PROCID", 0)), size, local_size, "srun")
    return launch if launch.size > 1 else Launch()
