"""`rehearse -- COMMAND`: any program on an imaginary GPU, and what went wrong with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.rehearsal.building import why_not_rehearsing
from tests.conftest import Outcome, invoke, validate

pytestmark = pytest.mark.skipif(bool(why_not_rehearsing()), reason=str(why_not_rehearsing()))

STAYS = """
import atexit, sys
# Called last: what was registered later is called before.
atexit.register(lambda: print("compiler imported:", "torch._inductor" in sys.modules, file=sys.stderr))
import torch
def work():
    small = torch.empty(40 << 20, dtype=torch.uint8, device="cuda")
    large = torch.empty(100 << 20, dtype=torch.uint8, device="cuda")
    return small
kept = work()
torch.cuda.reset_peak_memory_stats()
print("hello from the program")
"""


def rehearse(code: str, *options: str, before: tuple[str, ...] = ()) -> Outcome:
    """A Python program, rehearsed from a command line of its own: what programs print goes to a real stderr."""
    words = [sys.executable, "-m", "planner", "rehearse", *options, "--format", "json"]
    done = subprocess.run([*words, "--", *before, sys.executable, "-c", code], capture_output=True, text=True)
    return Outcome(done.returncode, done.stdout, done.stderr)


def document(found: Outcome) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(found.out)
    validate(value)
    return value


def test_a_programs_peak_is_found_with_its_place_whatever_it_resets() -> None:
    found = rehearse(STAYS, "--gpu", "RTX 3060")
    assert found.code == 0, found
    assert "hello from the program" in found.err
    assert "compiler imported: False" in found.err, "it takes longer than many programs"
    said = document(found)
    assert said["allocated_bytes"] == 140 << 20
    assert said["reserved_bytes"] == 140 << 20
    assert said["total_bytes"] == (140 << 20) + said["context_bytes"]
    assert said["command"]["peak"]["requested_bytes"] == 100 << 20
    assert [place["function"] for place in said["command"]["peak"]["places"]] == ["work", "<module>"]
    assert said["exit_status"] == 0
    assert said["retries"] == 0


def test_a_program_that_runs_out_is_exit_5_and_the_place_is_named() -> None:
    found = rehearse("import torch\ntorch.empty(3 << 30, dtype=torch.uint8, device='cuda')", "--vram", "2GB")
    assert found.code == 5
    said = document(found)
    assert said["ran_out"]
    assert said["exit_status"] == 1
    assert said["command"]["ran_out_at"]["requested_bytes"] == 3 << 30
    assert said["command"]["ran_out_at"]["places"][0]["line"] == 2


def test_memory_that_ran_out_and_was_coped_with_is_no_failure() -> None:
    code = """
import torch
try:
    torch.empty(3 << 30, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
"""
    found = rehearse(code, "--vram", "2GB")
    assert found.code == 0
    assert document(found)["out_of_memory"] == 1


def test_the_least_memory_of_a_program() -> None:
    code = """
import torch
cached = torch.empty(300 << 20, dtype=torch.uint8, device="cuda")
del cached
needed = torch.empty(400 << 20, dtype=torch.uint8, device="cuda")
"""
    found = document(rehearse(code, "--vram", "2GB", "--least"))
    assert found["reserved_bytes"] == 700 << 20
    # The 300 MiB of cache are given back: 400 beside the context are enough, to the granule.
    assert 0 <= found["least_bytes"] - (400 << 20) - found["context_bytes"] <= 2 << 20


def test_children_of_a_program_count_together(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"""
import os, pathlib, time, torch
kept = torch.empty(100 << 20, dtype=torch.uint8, device="cuda")
there = pathlib.Path({str(tmp_path)!r})
(there / f"{{os.getpid()}}.ready").touch()
deadline = time.monotonic() + 60
while len(list(there.glob("*.ready"))) < 2 and time.monotonic() < deadline:
    time.sleep(0.05)
""")
    code = f"""
import subprocess, sys
children = [subprocess.Popen([sys.executable, {str(child)!r}]) for _ in range(2)]
sys.exit(max(child.wait() for child in children))
"""
    found = rehearse(code, "--vram", "4GB")
    assert found.code == 0, found
    said = document(found)
    assert len(said["command"]["processes"]) == 2
    assert said["total_bytes"] == 2 * ((100 << 20) + said["context_bytes"])


def test_a_program_that_fails_otherwise_is_exit_1_with_its_status() -> None:
    found = rehearse("import torch, sys\ntorch.empty(1, device='cuda')\nsys.exit(7)")
    assert found.code == 1
    assert document(found)["exit_status"] == 7


def test_a_program_that_is_killed_leaves_what_the_driver_counted() -> None:
    code = "import torch, os\nkept = torch.empty(64 << 20, dtype=torch.uint8, device='cuda')\nos.kill(os.getpid(), 9)"
    found = rehearse(code)
    assert found.code == 1
    said = document(found)
    assert said["exit_status"] == 137
    assert said["allocated_bytes"] is None
    assert said["reserved_bytes"] == 64 << 20
    assert any("killed" in note for note in said["notes"])


def test_a_program_that_does_not_use_cuda_shows_nothing_and_says_so() -> None:
    found = rehearse("print(1)")
    assert found.code == 1
    assert any("nothing was shown" in note for note in document(found)["notes"])


def test_a_program_that_drops_the_preload_shows_nothing() -> None:
    code = "import torch; assert not torch.cuda.is_available()"
    found = rehearse(code, before=("env", "-u", "LD_PRELOAD"))
    assert found.code == 1
    assert document(found)["exit_status"] == 0


def test_a_command_that_is_not_there_is_named() -> None:
    found = invoke("rehearse", "--", "no-such-program-anywhere")
    assert found.code == 1
    assert "no-such-program-anywhere" in found.err


def test_garbage_sizes_end_in_an_error_and_the_machine_lives() -> None:
    code = """
import torch
size = 1 << 50
try:
    torch.empty(size, dtype=torch.uint8)
except RuntimeError as error:
    assert "memory" in str(error), error
    torch.empty(size, dtype=torch.uint8, device="cuda")
"""
    assert rehearse(code).code == 5


def test_a_sitecustomize_of_the_users_is_still_run(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.mine = 1\n")
    code = "import torch; torch.empty(1, device='cuda'); assert mine == 1"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-m", "planner", "rehearse", "--format", "json", "--", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["allocated_bytes"] == 512


def test_an_interrupt_ends_the_program_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
import os, time, torch
torch.empty(1, device="cuda")
open({str(note)!r}, "w").write(str(os.getpid()))
time.sleep(120)
"""
    words = [sys.executable, "-m", "planner", "rehearse", "--", sys.executable, "-c", code]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Ignored where the tests themselves run in the background, and inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as program:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(program.pid, signal.SIGINT)
        assert program.wait(30) == 1
    pid = int(note.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_several_gpus_are_seen_with_their_names_and_the_fullest_is_reported() -> None:
    code = """
import torch
assert [torch.cuda.get_device_name(i) for i in range(2)][1].endswith("4090")
kept = torch.empty(200 << 20, dtype=torch.uint8, device="cuda:1")
"""
    order = ("env", "CUDA_DEVICE_ORDER=PCI_BUS_ID")  # CUDA puts the fastest first unless told
    found = rehearse(code, "--gpu", "RTX 3060,RTX 4090", before=order)
    assert found.code == 0, found.err
    said = document(found)
    assert [gpu["capability"] for gpu in said["gpus"]] == [[8, 6], [8, 9]]
    assert said["reserved_bytes"] == 200 << 20
    assert said["memory_bytes"] == said["gpus"][1]["memory_bytes"]


def test_a_long_clip_of_stock_sam2_runs_out_on_the_frame_that_the_simulator_says(tmp_path: Path) -> None:
    script = tmp_path / "stock.py"
    script.write_text(STOCK_SCRIPT)
    found = subprocess.run(
        [sys.executable, "-m", "planner", "rehearse", "--vram", "1.03GB", "--format", "json", "--", sys.executable,
         str(script), str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 5, found.stderr[-2000:]
    last = max(int(line.split()[1]) for line in found.stderr.splitlines() if re.fullmatch(r"frame \d+", line))
    said = planner.simulate(
        runtime="stock", variant="tiny", resolution=512, frames=CLIP, frame_size=(240, 320), vram="1.03GB", objects=2
    )
    assert said.runs_out is not None
    assert said.runs_out.frame is not None
    assert abs(said.runs_out.frame - (last + 1)) <= 1


CLIP = 160
STOCK_SCRIPT = f"""
import sys, numpy, torch
from pathlib import Path
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor
folder = Path(sys.argv[1]) / "frames"
folder.mkdir()
for number in range({CLIP}):
    Image.fromarray(numpy.full((240, 320, 3), number, numpy.uint8)).save(folder / f"{{number:05d}}.jpg")
model = build_sam2_video_predictor(
    "configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cuda", hydra_overrides_extra=["++model.image_size=512"]
)
with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
    state = model.init_state(str(folder))
    for number in range(2):
        model.add_new_points_or_box(state, 0, number, box=numpy.array([96, 72, 192, 144], numpy.float32))
    for frame, _, _ in model.propagate_in_video(state):
        print("frame", frame, file=sys.stderr)
"""
