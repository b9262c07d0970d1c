"""What a process finds on a stage: devices, memory shared with others, refusals; and torch itself on it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from planner.catalog.gpus import find_gpu
from planner.errors import UsageError
from planner.rehearsal.building import Libraries
from planner.rehearsal.machine import ARCHITECTURES, imaginary_gpu
from planner.rehearsal.stage import Stage
from tests.rehearsal.conftest import GB, MIB, ask, small, start, waiting

GRANULE = 2 * MIB


# ---------------------------------------------------------------- which GPU


@pytest.mark.parametrize(
    ("name", "capability", "multiprocessors"),
    [
        ("Tesla T4", (7, 5), 40),
        ("RTX 3060 12 GB", (8, 6), 28),
        ("H100 SXM5 80GB", (9, 0), 132),
        ("GB10", (12, 0), 48),
        ("NVIDIA GH200 480GB", (9, 0), 132),
        ("A100 1g.5gb", (8, 0), 108),
    ],
)
def test_a_card_of_the_catalogue_by_name(name, capability, multiprocessors):
    gpu = imaginary_gpu(name)
    assert (gpu.capability, gpu.multiprocessors) == (capability, multiprocessors)
    assert gpu.threads_per_multiprocessor == ARCHITECTURES[capability].threads
    assert gpu.total_bytes == find_gpu(name).gpu.total_bytes and gpu.context_bytes > 0


@pytest.mark.parametrize("capability", ARCHITECTURES)
def test_each_capability_has_a_card_that_stands_for_it(capability):
    assert imaginary_gpu(capability=capability).capability == capability


def test_without_a_name_it_is_an_8_6():
    assert imaginary_gpu().capability == (8, 6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "RTX 9999"}, "RTX 9999"),
        ({"capability": (3, 5)}, "3.5.*7.5 and later"),
        ({"capability": (13, 0)}, "13.0"),
        ({"name": "GTX 1080"}, "GeForce GTX 1080 has capability 6.1.*7.5 and later"),
        ({"total_bytes": 10**7}, "10,000,000 bytes has no room"),
    ],
)
def test_a_gpu_that_cannot_be_rehearsed_is_a_usage_error(arguments, says):
    with pytest.raises(UsageError, match=says) as caught:
        imaginary_gpu(**arguments)
    assert caught.value.hint


def test_an_unknown_capability_names_the_known_ones():
    with pytest.raises(UsageError) as caught:
        imaginary_gpu(capability=(9, 9))
    assert "7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0" in caught.value.hint


@pytest.mark.parametrize("count", [0, 9])
def test_a_stage_has_one_to_eight_gpus(count):
    with pytest.raises(UsageError, match=str(count)):
        Stage([imaginary_gpu(index=index) for index in range(count)])


def test_two_gpus_with_one_uuid_are_refused():
    with pytest.raises(UsageError, match="UUID"):
        Stage([imaginary_gpu(), imaginary_gpu()])


def test_requests_are_counted_from_one():
    with pytest.raises(UsageError, match="0"):
        Stage([imaginary_gpu()], fail_request=0)


# ---------------------------------------------------------------- memory


def test_memory_is_counted_in_granules_beside_the_context_which_the_first_call_that_needs_it_takes(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        found = ask(
            stage,
            """
tell(count=count(), bus=bus(0))
def active():
    flags, state = ctypes.c_uint(), ctypes.c_int()
    cuda.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(state))
    return state.value
tell(active=[active()], before=memory())
tell(active_later=active())
error, pointer = allocate(1000)
tell(error=error, during=memory())
cuda.cudaFree(pointer)
tell(after=memory(), requests=cuda.imaginary_requests())
""",
        )
        assert found["count"] == [0, 1]
        assert (found["active"], found["active_later"]) == ([0], 1)
        assert found["before"] == [1_900_000_000, 2 * GB]
        assert found["during"] == [1_900_000_000 - GRANULE, 2 * GB]
        assert found["after"] == found["before"]
        assert found["requests"] == 1
        row = stage.use().of(found["pid"])
    assert row is not None
    assert (row.peak_bytes, row.context_bytes, row.requests, row.refused, row.alive) == (
        GRANULE,
        100_000_000,
        1,
        0,
        False,
    )
    assert stage.use().devices[0].highest_bytes == 100_000_000 + GRANULE


def test_a_process_that_only_asks_takes_nothing(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        ask(stage, "tell(count=count(), bus=bus(0))")
        assert stage.use().processes == ()
        assert stage.use().devices[0].highest_bytes == 0


def test_out_of_memory_to_the_byte(built: Libraries):
    with Stage([small(total_bytes=100_000_000 + 5 * GRANULE)], libraries=built) as stage:
        found = ask(
            stage,
            f"""
first, _ = allocate(5 * {GRANULE} + 1)
second, pointer = allocate(5 * {GRANULE})
third, _ = allocate(1)
tell(errors=[first, second, third], free=memory()[0])
""",
        )
        assert found["errors"] == [2, 0, 2]
        assert found["free"] == 0
        row = stage.use().of(found["pid"])
        assert row is not None and (row.requests, row.refused) == (3, 2)


def test_a_context_that_does_not_fit_is_out_of_memory(built: Libraries):
    with Stage([small(total_bytes=150_000_000)], libraries=built) as stage:
        first = start(stage, "tell(memory=memory()); sys.stdin.readline()")
        assert waiting(first)["memory"] == [50_000_000, 150_000_000]
        second = ask(stage, "tell(memory=memory(), error=allocate(1)[0])")
        assert (second["memory"], second["error"]) == (2, 2)
        row = stage.use().of(second["pid"])
        assert row is not None and (row.context_bytes, row.requests, row.refused) == (0, 0, 2)
        first.communicate("\n", timeout=60)
        assert ask(stage, "tell(error=allocate(1)[0])")["error"] == 0


def test_processes_share_a_device_and_a_killed_one_gives_its_memory_back(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        first = start(stage, f"error, _ = allocate({500 * MIB}); tell(error=error); sys.stdin.readline()")
        assert waiting(first)["error"] == 0
        held = 100_000_000 + 500 * MIB
        assert ask(stage, "tell(free=memory()[0])")["free"] == 2 * GB - held - 100_000_000
        first.kill()
        first.communicate(timeout=60)
        assert ask(stage, "tell(free=memory()[0])")["free"] == 2 * GB - 100_000_000
        use = stage.use()
        row = use.of(first.pid)
        assert row is not None
        assert (row.peak_bytes, row.held_bytes, row.alive) == (500 * MIB, 0, False)
        assert use.devices[0].highest_bytes == held + 100_000_000
        assert use.devices[0].held_bytes == 0


def test_each_request_can_be_the_one_that_fails_once(built: Libraries):
    program = """
errors = [allocate(1)[0] for _ in range(4)]
cuda.imaginary_fail_request(2)
errors += [allocate(1)[0] for _ in range(4)]
tell(errors=errors, requests=cuda.imaginary_requests())
"""
    with Stage([small()], fail_request=3, libraries=built) as stage:
        found = ask(stage, program)
        assert found["errors"] == [0, 0, 2, 0, 0, 2, 0, 0]
        assert found["requests"] == 8
        row = stage.use().of(found["pid"])
        assert row is not None and (row.requests, row.refused) == (8, 2)


def test_a_device_can_be_made_smaller_while_it_is_used(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        found = ask(
            stage,
            f"""
allocate({300 * MIB})
shrink = lambda device, size: cuda.imaginary_set_total(device, ctypes.c_size_t(size))
tell(set=shrink(0, {500 * MIB}), none=shrink(1, 1))
tell(error=allocate({200 * MIB})[0], memory=memory())
""",
        )
    assert (found["set"], found["none"], found["error"]) == (0, -1, 2)
    assert found["memory"] == [200 * MIB - 100_000_000, 500 * MIB]


def test_what_is_copied_to_a_device_comes_back_and_holes_are_zeros(built: Libraries):
    with Stage([small(), small(index=1)], libraries=built) as stage:
        found = ask(
            stage,
            f"""
size = {8 * MIB}
_, here = allocate(size)
cuda.cudaSetDevice(1)
_, there = allocate(size)
data = os.urandom(100_000)
middle = ctypes.c_void_p(here.value + {3 * MIB} + 5)
copy = lambda to, source, count: cuda.cudaMemcpy(to, source, ctypes.c_size_t(count), 4)
errors = [copy(middle, data, len(data)), copy(there, here, size)]
back = ctypes.create_string_buffer(size)
errors.append(copy(back, there, size))
expected = bytes({3 * MIB} + 5) + data
expected += bytes(size - len(expected))
tell(errors=errors, same=back.raw == expected)
cuda.cudaMemset(there, 7, ctypes.c_size_t(size)); cuda.cudaMemset(there, 0, ctypes.c_size_t(size - 1))
copy(back, there, size)
tell(cleared=back.raw == bytes(size - 1) + bytes([7]))
""",
        )
    assert found["errors"] == [0, 0, 0] and found["same"] and found["cleared"]


def test_a_pool_keeps_what_its_threshold_says(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        found = ask(
            stage,
            f"""
pool, pointer = ctypes.c_void_p(), ctypes.c_void_p()
cuda.cudaDeviceGetDefaultMemPool(ctypes.byref(pool), 0)
def round_trip():
    error = cuda.cudaMallocAsync(ctypes.byref(pointer), ctypes.c_size_t({64 * MIB}), None)
    inside = memory()[0]
    cuda.cudaFreeAsync(pointer, None)
    return [error, inside, memory()[0]]
tell(plain=round_trip())
cuda.cudaMemPoolSetAttribute(pool, 4, ctypes.byref(ctypes.c_uint64({32 * MIB})))
tell(kept=round_trip())
cuda.cudaMemPoolTrimTo(pool, ctypes.c_size_t(0))
tell(trimmed=memory()[0])
""",
        )
    free = 2 * GB - 100_000_000
    assert found["plain"] == [0, free - 64 * MIB, free]
    assert found["kept"] == [0, free - 64 * MIB, free - 32 * MIB]
    assert found["trimmed"] == free
    assert "cudaMallocAsync" in found["stderr"]


def test_a_forked_child_cannot_use_what_its_parent_used_and_one_of_a_clean_parent_can(built: Libraries):
    program = """
{before}
child = os.fork()
if child == 0:
    tell(child=[allocate(1000)[0], memory()])
    os._exit(0)
os.waitpid(child, 0)
tell(parent=allocate(1000)[0], free=memory()[0], pids=[os.getpid(), child])
"""
    with Stage([small()], libraries=built) as stage:
        used = ask(stage, program.format(before="allocate(1000)"))
        assert used["child"] == [3, 3]  # cudaErrorInitializationError
        assert used["parent"] == 0 and used["free"] == 1_900_000_000 - 2 * GRANULE
        assert ask(stage, program.format(before="count()"))["child"] == [3, 3]  # cuInit in the parent is enough
        clean = ask(stage, program.format(before=""))
        assert clean["child"] == [0, [1_900_000_000 - GRANULE, 2 * GB]]
        assert clean["free"] == 1_900_000_000 - GRANULE
        pids = [row.pid for row in stage.use().processes]
    assert pids[0] == used["pids"][0] and pids[-2:] == clean["pids"][::-1]


# ---------------------------------------------------------------- several devices


def trio():
    """In NVML's order; the second is the fastest, and the first and third are alike."""
    return [small(name="RTX 3060 12 GB"), small(name="RTX 4090", index=1), small(name="RTX 3060 12 GB", index=2)]


UUIDS = [gpu.uuid for gpu in trio()]


@pytest.mark.parametrize(
    ("visible", "places"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("1", [1]),
        ("", []),
        ("-1", []),
        ("0,7,1", [0]),
        ("0,0", []),
        ("nonsense", []),
        (UUIDS[1], [1]),
        (f"{UUIDS[2][:12]}, {UUIDS[0]}", [2, 0]),
        ("GPU-", []),
    ],
)
def test_visible_devices(built: Libraries, visible, places):
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    with Stage(trio(), libraries=built) as stage:
        found = ask(stage, "tell(count=count(), bus=[bus(i) for i in range(3)])", **environment)
    assert found["count"] == [0 if places else 100, len(places)]
    assert [bus for bus in found["bus"] if bus] == [f"0000:{place + 1:02X}:00.0" for place in places]


def test_the_fastest_device_is_the_first_unless_the_bus_orders_them(built: Libraries):
    with Stage(trio(), libraries=built) as stage:
        found = ask(stage, "tell(bus=[bus(i) for i in range(3)])")
    assert found["bus"] == ["0000:02:00.0", "0000:01:00.0", "0000:03:00.0"]


def test_each_thread_has_a_current_device_and_each_device_its_own_memory(built: Libraries):
    with Stage(trio(), libraries=built) as stage:
        found = ask(
            stage,
            f"""
import threading
current = lambda: number(cuda.cudaGetDevice)[1]
def other():
    cuda.cudaSetDevice(2)
    tell(other=[current(), allocate({10 * MIB})[0], memory()[0]])
thread = threading.Thread(target=other); thread.start(); thread.join()
tell(mine=[current(), memory()[0]], wrong=cuda.cudaSetDevice(3))
can = ctypes.c_int(7)
tell(peer=[cuda.cudaDeviceCanAccessPeer(ctypes.byref(can), 0, 1), can.value])
""",
            CUDA_DEVICE_ORDER="PCI_BUS_ID",
        )
        assert found["other"] == [2, 0, 1_900_000_000 - 10 * MIB]
        assert found["mine"] == [0, 1_900_000_000]
        assert found["wrong"] == 101 and found["peer"] == [0, 0]
        assert sorted((row.device, row.peak_bytes) for row in stage.use().processes) == [(0, 0), (2, 10 * MIB)]


def test_nvml_lists_every_gpu_its_processes_and_the_neighbour(built: Libraries):
    pytest.importorskip("pynvml")
    gpus = [small(), small(index=1, neighbour_bytes=300_000_000)]
    with Stage(gpus, libraries=built) as stage:
        first = start(stage, f"allocate({100 * MIB}); tell(ready=1); sys.stdin.readline()")
        waiting(first)
        found = ask(
            stage,
            """
import pynvml
pynvml.nvmlInit()
tell(versions=[pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetCudaDriverVersion()])
for index in range(pynvml.nvmlDeviceGetCount()):
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    try: mig = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError as error: mig = str(error)
    tell(**{str(index): [pynvml.nvmlDeviceGetUUID(handle), info.total, info.used, info.free,
                         [[p.pid, p.usedGpuMemory] for p in listed], pynvml.nvmlDeviceGetDisplayMode(handle), mig]})
tell(graphics=pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle))
""",
            CUDA_VISIBLE_DEVICES="1",
        )
        first.communicate("\n", timeout=60)
    held = 100_000_000 + 100 * MIB
    assert found["0"] == [gpus[0].uuid, 2 * GB, held, 2 * GB - held, [[first.pid, held]], 0, "Not Supported"]
    ((neighbour, taken),) = found["1"][4]
    assert found["1"][:4] == [gpus[1].uuid, 2 * GB, 300_000_000, 1_700_000_000]
    assert taken == 300_000_000 and not Path(f"/proc/{neighbour}").exists()
    assert found["graphics"] == []


def test_the_product_sees_the_gpus_of_a_stage(built: Libraries):
    pytest.importorskip("pynvml")
    with Stage([small(), small(index=1, neighbour_bytes=GB)], libraries=built) as stage:
        found = ask(
            stage,
            "from planner.machine.present import present_gpus\n"
            "tell(gpus=[[g.name, g.total_bytes, g.free_bytes, g.uuid] for g in present_gpus()])",
        )
    name = imaginary_gpu().name
    assert [row[:3] for row in found["gpus"]] == [[name, 2 * GB, 2 * GB], [name, 2 * GB, GB]]


# ---------------------------------------------------------------- what is not imagined, and what would harm the machine


def test_what_is_not_imagined_is_an_error_that_names_itself_once_and_is_kept(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        found = ask(
            stage,
            """
pointer = ctypes.c_void_p()
managed = lambda: cuda.cudaMallocManaged(ctypes.byref(pointer), ctypes.c_size_t(1 << 20), 1)
tell(errors=[managed(), managed(), cuda.cudaMallocPitch(ctypes.byref(pointer), ctypes.byref(ctypes.c_size_t()),
             ctypes.c_size_t(8), ctypes.c_size_t(8)), cuda.cudaStreamBeginCapture(None, 0)])
""",
        )
        assert found["errors"] == [801] * 4
        assert found["stderr"].count("sam2-plan rehearsal: cudaMallocManaged is not imagined") == 1
        assert "CUDA graphs cannot be rehearsed" in found["stderr"]
        ask(stage, "cuda.cudaMallocManaged(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(1), 1)")
        assert stage.use().unknown == ("cudaMallocManaged", "cudaMallocPitch", "cudaStreamBeginCapture")


def test_a_garbage_size_on_the_host_is_an_error_and_not_the_end_of_the_machine(built: Libraries):
    with Stage([small()], host_limit_bytes=GB, libraries=built) as stage:
        found = ask(
            stage,
            """
try: bytearray(2 * 10**9); tell(host="taken")
except MemoryError: tell(host="MemoryError")
pointer = ctypes.c_void_p()
tell(pinned=cuda.cudaHostAlloc(ctypes.byref(pointer), ctypes.c_size_t(2 * 10**9), 0))
tell(some=cuda.cudaHostAlloc(ctypes.byref(pointer), ctypes.c_size_t(10**8), 0), device=allocate(10**9)[0])
import subprocess
child = subprocess.run([sys.executable, "-c", "bytearray(2 * 10**9)"], capture_output=True, text=True)
tell(child=child.stderr.strip().splitlines()[-1])
""",
        )
    assert (found["host"], found["pinned"], found["child"]) == ("MemoryError", 2, "MemoryError")
    assert (found["some"], found["device"]) == (0, 0)


def test_without_a_stage_there_is_no_gpu_and_the_reason_is_said(built: Libraries, tmp_path):
    with Stage([small()], libraries=built) as stage:
        found = ask(stage, "tell(count=count(), error=allocate(1)[0])", SAM2_PLAN_REHEARSAL_STAGE=str(tmp_path))
        (tmp_path / "stage").write_bytes(bytes(10**7))
        other = ask(stage, "tell(count=count())", SAM2_PLAN_REHEARSAL_STAGE=str(tmp_path))
    assert found["count"] == [100, 0] and found["error"] == 100
    assert f"no stage in {tmp_path}" in found["stderr"]
    assert other["count"] == [100, 0] and "not a stage of this build" in other["stderr"]


def test_a_stage_that_was_left_still_says_what_was_taken_and_keeps_no_file(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        folder = stage.environment()["SAM2_PLAN_REHEARSAL_STAGE"]
        found = ask(stage, "allocate(1)")
    assert stage.use().of(found["pid"]) is not None
    assert not Path(folder).exists()
    with pytest.raises(UsageError, match="not open"):
        stage.environment()


def test_what_is_preloaded_already_stays_but_not_the_stand_ins_of_another_stage(built: Libraries):
    with Stage([small()], libraries=built) as stage:
        inner = stage.environment({"LD_PRELOAD": f"/lib/libother.so /elsewhere/{built.preload[0].name}"})
    assert inner["LD_PRELOAD"].split(":") == ["/lib/libother.so", *map(str, built.preload)]


def test_what_hides_the_real_gpus_does_not_hide_these(built: Libraries, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with Stage([small()], libraries=built) as stage:
        assert ask(stage, "tell(count=count())")["count"] == [0, 1]
        assert stage.environment({"CUDA_VISIBLE_DEVICES": ""})["CUDA_VISIBLE_DEVICES"] == ""


def test_a_cache_folder_with_a_space_in_its_name_can_be_preloaded_from(built: Libraries, tmp_path):
    spaced = tmp_path / "a cache: mine"
    spaced.symlink_to(built.folder)
    libraries = Libraries(spaced, tuple(spaced / path.name for path in built.preload), built.cudnn)
    with Stage([small()], libraries=libraries) as stage:
        found = ask(stage, "tell(count=count())")
    assert found["count"] == [0, 1] and found["stderr"] == ""


# ---------------------------------------------------------------- torch

TORCH = """
import torch
from torch.nn.functional import conv2d, linear, scaled_dot_product_attention
tell(available=torch.cuda.is_available(), started=torch.cuda.is_initialized())
tell(devices=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())])
tell(capability=torch.cuda.get_device_capability(0))
before, square = cuda.imaginary_kernels(), torch.empty(8, 8, device="cuda")
square @ square
tell(product=cuda.imaginary_kernels() - before)
def held(): return [torch.cuda.memory_allocated(), torch.cuda.memory_reserved()]
for kind in (torch.float32, torch.bfloat16):
    x = torch.zeros(2, 64, 64, 64, device="cuda", dtype=kind)
    shapes = [conv2d(x, torch.zeros(32, 64, 3, 3, device="cuda", dtype=kind), padding=1).shape,
              linear(x, torch.zeros(16, 64, device="cuda", dtype=kind)).shape,
              scaled_dot_product_attention(x, x, x).shape]
tell(shapes=[list(shape) for shape in shapes], kernels=cuda.imaginary_kernels())
del x, square
torch.cuda.empty_cache()
tell(workspace=held())  # what cuBLAS keeps
big = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
tell(big=held(), free=torch.cuda.mem_get_info()[0])
try: torch.empty(1 << 40, dtype=torch.uint8, device="cuda"); tell(oom="fits")
except torch.OutOfMemoryError as error: tell(oom=str(error))
try: torch.empty(1 << 50, dtype=torch.uint8)
except RuntimeError as error: tell(host=str(error))
del big
stream = torch.cuda.Stream()
used = torch.empty(200 << 20, dtype=torch.uint8, device="cuda")
used.record_stream(stream)
del used
again = torch.empty(200 << 20, dtype=torch.uint8, device="cuda")
tell(lagging=held())
event = torch.cuda.Event(); event.record(); ready = [event.query() for _ in range(4)]
event.record(); torch.cuda.synchronize(); tell(ready=ready, waited=event.query())
values = torch.arange(1000)
tell(round_trip=bool((values.pin_memory().to("cuda", non_blocking=True).to("cuda:1").cpu() == values).all()),
     scalar=torch.ones(1, device="cuda").item(), reserved_1=torch.cuda.memory_reserved(1))
cuda.imaginary_fail_request(1)
retried = torch.empty(512 << 20, dtype=torch.uint8, device="cuda")
tell(retries=torch.cuda.memory_stats()["num_alloc_retries"])
for name, call in dict(fft=lambda: torch.fft.rfft(torch.zeros(8, device="cuda")),
                       solve=lambda: torch.linalg.eigh(torch.zeros(8, 8, device="cuda")),
                       graph=lambda: torch.cuda.CUDAGraph().capture_begin()).items():
    try:
        with torch.cuda.stream(stream): call()
        tell(**{name: "done"})
    except RuntimeError as error: tell(**{name: str(error)})
"""


def test_torch_allocates_computes_and_runs_out_as_on_two_gpus(built: Libraries):
    pytest.importorskip("torch")
    gpus = [imaginary_gpu("RTX 4090"), imaginary_gpu("RTX 3060 12 GB", index=1)]
    with Stage(gpus, event_lag=3, zero_scalars=True, libraries=built) as stage:
        found = ask(stage, TORCH)
        use = stage.use()
    assert found["available"] is True and found["started"] is False
    assert found["devices"] == [gpu.name for gpu in gpus]
    assert found["capability"] == [8, 9]
    assert found["shapes"] == [[2, 32, 64, 64], [2, 64, 64, 16], [2, 64, 64, 64]]
    assert found["product"] == 1 and found["kernels"] > 1
    assert found["workspace"][0] in (8_519_680, 0)  # as published for capabilities before 9.0; torch 2.15 keeps none
    assert found["big"][1] == found["workspace"][1] + 256 * MIB
    assert found["free"] == gpus[0].total_bytes - gpus[0].context_bytes - found["big"][1]
    assert "CUDA out of memory. Tried to allocate 1024.00 GiB" in found["oom"]
    assert "can't allocate memory" in found["host"]
    assert found["lagging"][1] == found["big"][1] + 200 * MIB  # the block that a stream still uses is not free
    assert found["ready"] == [False, False, False, True] and found["waited"] is True
    assert found["round_trip"] is True and found["scalar"] == 0.0
    assert found["reserved_1"] == 2 * MIB
    assert found["retries"] >= 1
    assert "cuFFT" in found["fft"] and "cusolver" in found["solve"].lower()
    assert "not supported" in found["graph"]
    first, second = use.of(found["pid"], 0), use.of(found["pid"], 1)
    assert first is not None and second is not None
    assert first.peak_bytes >= 512 * MIB and second.peak_bytes == 2 * MIB
    assert first.kernels > found["kernels"] and first.refused >= 2
    assert "cudaStreamBeginCapture" in use.unknown


EXPANDABLE = """
import torch
made = [torch.empty(30 << 20, dtype=torch.uint8, device="cuda") for _ in range(5)]
tell(backend=torch.cuda.get_allocator_backend(), held=[torch.cuda.memory_allocated(), torch.cuda.memory_reserved()])
taken = torch.cuda.mem_get_info()
del made
torch.cuda.empty_cache()
tell(taken=taken[1] - taken[0], left=torch.cuda.memory_reserved(), free=torch.cuda.mem_get_info()[0])
try: torch.empty(1 << 40, dtype=torch.uint8, device="cuda"); tell(oom=False)
except torch.OutOfMemoryError: tell(oom=True)
torch.ones(4, device="cuda")
"""


@pytest.mark.parametrize(
    ("configuration", "backend", "reserved"),
    [("expandable_segments:True", "native", 160 * MIB), ("backend:cudaMallocAsync", "cudaMallocAsync", 150 * MIB)],
)
def test_torchs_other_ways_to_allocate(built: Libraries, configuration, backend, reserved):
    pytest.importorskip("torch")
    gpu = small()
    with Stage([gpu], trace=2, libraries=built) as stage:
        found = ask(stage, EXPANDABLE, PYTORCH_CUDA_ALLOC_CONF=configuration, PYTORCH_ALLOC_CONF=configuration)
    assert found["backend"] == backend
    assert found["held"] == [150 * MIB, reserved]
    assert found["taken"] == reserved + gpu.context_bytes
    assert found["left"] == 0 and found["free"] == gpu.total_bytes - gpu.context_bytes
    assert found["oom"] is True
    assert re.search(r"sam2-plan rehearsal: kernel \S+ <<<1,1,1;", found["stderr"])


def test_nothing_of_torch_is_loaded_by_making_a_stage(built: Libraries):
    program = (
        "import sys, planner.rehearsal.stage as s, planner.rehearsal.machine as m\n"
        "with s.Stage([m.imaginary_gpu()]) as stage: stage.use()\nassert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
