"""That a training step does not ask the system for the same memory again and again."""

import platform
import subprocess
import sys

SCRIPT = """
import resource
import numpy as np
{first}
x = np.ones(100_000, np.float32)
def temporaries():
    return 1 / (x * x + 1)
temporaries()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    temporaries()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_mapped(first: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_freed_memory_is_kept():
    """100 rounds of two temporaries of 400 kB each map thousands of pages without purenet; with it, next to none."""
    if sys.platform == "win32":  # has no such count
        return
    assert pages_mapped("import purenet") < 1000
    if platform.libc_ver()[0] == "glibc":
        assert pages_mapped("") > 5000
