from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASKED = """
from peftir.system.threads import before_imports, use_threads
before_imports()
import numpy, torch
{before}
use_threads({count})
import faiss
import subprocess, sys
later = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
print(torch.get_num_threads(), faiss.omp_get_max_threads(), subprocess.check_output(later, text=True))
"""


@pytest.mark.parametrize("before", ["", "import faiss"])
@pytest.mark.parametrize("environment", [{}, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}])
def test_the_setting_decides_and_not_the_environment(environment: dict[str, str], before: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", ASKED.format(count=1, before=before)]
    said = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["1", "1", "1"]
