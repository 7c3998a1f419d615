"""Freed memory stays with the process: glibc otherwise returns it, and asks for it again.

A forward pass of an image encoder frees and needs again the same large pieces, block after block.
Giving them back to the system each time, which then has to clear them, costs time and changes no
number.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # their names in malloc.h are M_TRIM_THRESHOLD, ...
_LARGE = 2**31 - 1  # bytes; the parameters are ints
_LARGEST_FROM_HEAP = 2**30  # bytes; larger pieces still come from the system and go back to it


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees, and say whether that could be asked for.

    It cannot where the C library is another one: on macOS, on Windows, with musl.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _LARGE) and mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP))
