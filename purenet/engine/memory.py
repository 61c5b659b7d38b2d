"""Freed memory is kept for the next array, instead of being handed back to the system after each step.

Pure functions make a new array for each result. The GNU C library asks the system for memory of its own for an array of
over 128 KiB and gives it back at once when the array goes: each page is then mapped, and filled with zeros, again. It
learns to keep up to twice the largest such piece that it has seen given back, of at most 32 MiB (`mallopt(3)`,
M_MMAP_THRESHOLD). So it is shown one, which is never written to and so takes no memory. Other C libraries do not mind.

Setting one of the C library's own variables, such as MALLOC_TRIM_THRESHOLD_, turns this off.
"""

import numpy as np

LARGEST = (32 << 20) - (8 << 10)  # what the C library accepts, less its own header


def keep_freed() -> None:
    """Let the C library keep up to 64 MiB of freed memory for the arrays to come."""
    np.empty(LARGEST, np.uint8)
