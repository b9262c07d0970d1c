"""The package on a machine without torch."""

import subprocess
import sys

import pytest

from planner.errors import EnvironmentFailure
from planner.simulator import simulate


def test_importing_the_package_imports_no_torch():
    code = "import sys, planner.simulator; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("planner.simulator.stock", "planner.simulator.torch_adapters"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(EnvironmentFailure, match=r'pip install "sam2-plan\[sam2\]"'):
        simulate(task="image")
