"""The one exception a user is meant to read."""


class UserError(Exception):
    """A mistake that the user can mend: one sentence saying what, where and what to do.

    The command line prints the sentence alone and exits with status 2; in a notebook IPython asks
    the exception how to show itself and gets the same sentence instead of a stack trace.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"error: {self}"]
