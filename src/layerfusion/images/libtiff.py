"""What libtiff says of damaged files stays with it: the reason is a row of the answer already."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()  # the descriptor belongs to the whole process


@contextmanager
def without_libtiffs_words() -> Iterator[None]:
    """Have nothing written to the standard error's descriptor while a block runs.

    The C library writes a line for every bad code word, a thousand for one file, past Python and
    past its warnings. Pillow passes on what matters as an exception.
    """
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # closed: nobody would read it
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(nowhere)
            os.close(kept)
