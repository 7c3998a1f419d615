"""What two processes do together; started twice by test_parallel.py, as srun would do it.

Prints a JSON object: what each step gave in this process.
"""

import json
import os
import signal
import sys
from pathlib import Path

from layerfusion.errors import UserError
from layerfusion.parallel.processes import Processes, join_processes
from layerfusion.runs.condition import Condition
from layerfusion.runs.conditions import obtain_predictions
from layerfusion.runs.experiment import Experiment
from layerfusion.scoring.predictions import predict_each
from layerfusion.training import sources

photos, broken, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
processes = join_processes()


def open_experiment(root=photos, seed=1337):
    return Experiment.open("open", data_root=root, overrides=settings, seed=seed)


def failure(work):
    try:
        work()
    except UserError as error:
        return [type(error).__name__, str(error)]
    return None


def go_on_with_what_one_process_began():
    return open_experiment().obtain().record.history


def score_as_alone():
    experiment = open_experiment()
    run, profile = experiment.obtain(), experiment.profile

    shared = obtain_predictions(experiment, run, Condition(degradation="jpeg-85"))
    (alone,) = predict_each(
        run.detector(),
        experiment.validation,
        profile.images,
        profile.loader,
        degradation="jpeg-85",
        processes=Processes(),
    )
    columns = ["image_id", "logit"]
    return shared[columns].equals(alone[columns])


def read_an_image_that_is_damaged():
    return failure(open_experiment(broken).obtain)


def signalled(number, seed):
    """Train while the system sends a signal to the second process, in its third batch."""
    batches = sources.training_batches

    def batches_and_a_signal(*arguments, **named):
        for index, batch in enumerate(batches(*arguments, **named)):
            if index == 2 and processes.rank == 1:
                os.kill(os.getpid(), number)
            yield batch

    sources.training_batches = batches_and_a_signal
    try:
        return failure(open_experiment(seed=seed).obtain)
    finally:
        sources.training_batches = batches


def be_asked_to_stop_in_one_process():
    return signalled(signal.SIGTERM, seed=7)


def disagree():
    return failure(lambda: processes.check_same(processes.rank, "a number"))


steps = [
    go_on_with_what_one_process_began,
    score_as_alone,
    read_an_image_that_is_damaged,
    be_asked_to_stop_in_one_process,
    disagree,
]
print(json.dumps({step.__name__: step() for step in steps}), flush=True)
print(json.dumps(signalled(signal.SIGKILL, seed=8)))  # and lose a process
