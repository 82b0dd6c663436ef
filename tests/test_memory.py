"""Freed memory is kept, as seen by the pages that the system has to bring."""

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import torch
from peftir.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
# The first block of a size may come from the system in either case.
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)  # 64 MiB, more than glibc keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_brought(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_a_block_that_was_freed_is_used_again() -> None:
    assert 10 * pages_brought("kept") < pages_brought("as it comes")
