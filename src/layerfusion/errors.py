"""The one exception a user is meant to read, its special cases, and what a system says."""


def reason(error: Exception) -> str:
    """Return why something failed, in the system's words where it has some."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


class UserError(Exception):
    """A mistake that the user can correct: one sentence with what, where and what to do.

    The command line prints this sentence alone and exits with `status`; a notebook shows it
    instead of a stack trace.

    Attributes
    ----------
    status
        Exit status of the command line.
    agreed
        Whether all processes of the run know of it; see `layerfusion.parallel.processes`.
    """

    status = 2
    agreed = False

    def _render_traceback_(self) -> list[str]:
        return [f"error: {self}"]


class StopRequestedError(UserError):
    """Stopped because the system asked for it; exit status 128 + SIGTERM, as of a program killed.

    Schedulers send SIGTERM some time before they end a job for good.
    """

    status = 143


class InterruptedFromKeyboardError(UserError):
    """Stopped by Ctrl-C; exit status 128 + SIGINT, as of a program killed.

    A terminal sends it to all processes of a run, so that none has to tell the others.
    """

    status = 130
    agreed = True


class ReportedElsewhereError(UserError):
    """An error that another process of the same run reports; this one ends silently."""

    agreed = True

    def __init__(self, process: int, status: int) -> None:
        super().__init__(f"process {process} reports why the run ended")
        self.status = status
