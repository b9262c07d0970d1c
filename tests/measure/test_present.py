"""The GPU that is present, on recorded machines."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from planner.errors import UsageError
from planner.machine.allowance import read_limits
from planner.machine.present import as_gpu, find_present, inspect
from tests.measure.recorded import MACHINES, RecordedNvml, machine, record_of

MIB = 2**20


def test_a_desktop_is_known_in_full(tmp_path: Path) -> None:
    (card,) = machine("desktop", tmp_path)
    assert (card.name, card.index, card.capability) == ("NVIDIA GeForce RTX 3060", 0, (8, 6))
    assert (card.total_bytes, card.free_bytes) == (12 * 2**30, 11 * 2**30)
    assert (card.driver, card.cuda, card.unified) == ("550.54.14", "12.4", False)
    assert (card.display_attached, card.display_active) == (True, True)
    assert card.processes is not None
    assert [(p.pid, p.kind, p.bytes) for p in card.processes] == [
        (4242, "compute", 300 * MIB), (1200, "graphics", 350 * MIB), (1500, "graphics", None),
    ]  # fmt: skip
    assert card.mig_mode is None and "Not Supported" in card.reasons["mig_mode"]


@pytest.mark.parametrize("name", sorted(path.stem for path in MACHINES.glob("*.json")))
def test_what_is_not_known_has_a_reason(name: str, tmp_path: Path) -> None:
    for card in machine(name, tmp_path):
        for field in dataclasses.fields(card):
            unknown = getattr(card, field.name) is None and field.name != "slice"
            assert unknown == (field.name in card.reasons), field.name


def test_slices_stand_in_the_place_of_their_card(tmp_path: Path) -> None:
    found = machine("a100-mig", tmp_path)
    assert [card.slice for card in found] == ["1g.5gb", "2g.10gb", None]
    assert [card.index for card in found] == [0, 0, 1]
    assert [card.mig_mode for card in found] == [True, True, False]
    assert found[1].free_bytes == 9000 * MIB and found[1].capability == (8, 0)
    (one,) = machine("a100-mig", tmp_path, CUDA_VISIBLE_DEVICES="MIG-bbbb2222-0000-1111-2222-333344445555")
    assert one.slice == "2g.10gb" and one.place == 0


def test_unified_memory_is_the_hosts(tmp_path: Path) -> None:
    (card,) = machine("unified", tmp_path)
    assert card.unified is True
    assert (card.total_bytes, card.free_bytes) == (125829120 * 1024, 104857600 * 1024)


def test_a_container_sees_what_it_was_given_in_its_own_order(tmp_path: Path) -> None:
    found = machine("container", tmp_path)
    assert [card.index for card in found] == [1, 0], "CUDA stops at the first entry that is not there"
    assert [card.limit_bytes for card in found] == [3000 * MIB, 1024 * MIB], "HAMi's, and the smaller one of MPS"
    assert found[0].free_bytes == 2000 * MIB, "1000 MiB of the limit are in use"
    assert found[0].card_bytes == 143771 * MIB and found[0].total_bytes == 3000 * MIB
    limits = read_limits(record_of("container")["environment"], tmp_path)
    assert (limits.mps, limits.container_visible, limits.host_bytes) == ("/pipes", "all", 2**33)


def test_a_lost_card_does_not_hide_its_neighbour(tmp_path: Path) -> None:
    lost, sound = machine("lost", tmp_path)
    assert as_gpu(lost) is None and "GPU is lost" in lost.reasons["name"]
    assert (gpu := as_gpu(sound)) is not None and gpu.index == 1
    assert find_present(None, [gpu]) is gpu


@pytest.mark.parametrize("text", ["", "-1", "NoDevFiles", "-1,0"])
def test_no_gpu_is_visible(text: str, tmp_path: Path) -> None:
    assert machine("desktop", tmp_path, CUDA_VISIBLE_DEVICES=text) == []


def test_no_driver_is_an_answer(tmp_path: Path) -> None:
    class Broken(RecordedNvml):
        def nvmlInit(self) -> None:  # noqa: N802
            raise self.NVMLError("Driver Not Loaded")

    assert inspect(Broken({}), {}, tmp_path) == []


def test_an_older_binding_leaves_a_reason(tmp_path: Path) -> None:
    class Old(RecordedNvml):
        def __getattr__(self, name: str) -> object:
            if name == "nvmlDeviceGetDisplayActive":
                raise AttributeError(name)
            return super().__getattr__(name)

    (card,) = inspect(Old(record_of("desktop")), {}, tmp_path)
    assert card.display_active is None and "nvmlDeviceGetDisplayActive" in card.reasons["display_active"]


def test_a_limit_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="CUDA_DEVICE_MEMORY_LIMIT_0 is 'lots'") as caught:
        read_limits({"CUDA_DEVICE_MEMORY_LIMIT_0": "lots"}, tmp_path)
    assert "3000m" in caught.value.hint


def test_limits_by_place_and_for_all(tmp_path: Path) -> None:
    limits = read_limits({"CUDA_DEVICE_MEMORY_LIMIT": "2g", "CUDA_DEVICE_MEMORY_LIMIT_1": "512k"}, tmp_path)
    assert [limits.of_gpu(place) for place in range(3)] == [2**31, 2**19, 2**31]
    (tmp_path / "sys/fs/cgroup/memory").mkdir(parents=True)
    file = tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes"
    file.write_text("1048576\n", encoding="ascii")
    assert read_limits({}, tmp_path).host_bytes == 2**20
    file.write_text("9223372036854771712\n", encoding="ascii")
    assert read_limits({}, tmp_path).host_bytes is None, "version 1 writes this where there is no limit"


def test_measuring_is_imported_without_torch() -> None:
    modules = "planner.machine.present, planner.measure.trial"
    code = f"import sys, {modules}; print([m for m in ('torch', 'pynvml', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
