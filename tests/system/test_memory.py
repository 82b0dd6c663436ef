"""Freed memory is kept, as seen by the pages that the system has to bring."""

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import numpy as np
from peftir.system.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def block() -> None:
    np.ones(10 * 2**20, dtype=np.float32)  # 40 MiB, more than glibc ever keeps by itself

block()  # the first one comes from the system in either case
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_brought(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_a_block_that_was_freed_is_used_again() -> None:
    assert 10 * pages_brought("kept") < pages_brought("as it comes")
