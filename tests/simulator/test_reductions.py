"""Buffers of reductions whose blocks share outputs, against torch's own allocator."""

import pytest

from planner.simulator.reductions import Dimension, split_bytes

BOOL, FLOAT, PLACE = 1, 4, 16
A10 = (82, 1536)
"""Multiprocessors, and the threads of one, of the imaginary GPU that the figures were rehearsed on."""


def dense(shape, reduced):
    """A contiguous array."""
    dims, stride = [], 1
    for number in reversed(range(len(shape))):
        dims.insert(0, Dimension(shape[number], stride, number in reduced))
        stride *= shape[number]
    return dims


REHEARSED = [
    ((2, 1080, 1920), (1,), BOOL, (8355840, 120)),
    ((10, 1080, 1920), (1,), BOOL, (17203200, 600)),
    ((2, 1080, 1920), (1,), FLOAT, (33423360, 120)),
    ((1, 2160, 3840), (1,), PLACE, (259522560, 120)),
    ((3, 1, 1024, 1024), (2,), PLACE, (100663296, 96)),
    ((2, 1080, 1920), (1, 2), BOOL, (246, 8)),
    ((3, 480, 640), (1, 2), FLOAT, (456, 12)),
    ((3, 480, 640), (0, 1, 2), FLOAT, (452, 4)),
    ((2, 1080, 1920), (2,), BOOL, (0, 0)),
    ((3, 480, 640), (1,), FLOAT, (0, 0)),
    ((10, 1080, 1920), (0,), PLACE, (0, 0)),
    ((1, 256, 256), (0, 1, 2), FLOAT, (0, 0)),
]
"""torch 2.14.1 on an imaginary GPU of capability 8.6 with 82 multiprocessors."""


@pytest.mark.parametrize(("shape", "reduced", "value_bytes", "expected"), REHEARSED)
def test_buffers_are_those_of_torch(shape, reduced, value_bytes, expected):
    assert split_bytes(dense(shape, reduced), 0, value_bytes, *A10) == expected


def test_outputs_that_cannot_be_loaded_four_at_once_are_reduced_by_other_blocks():
    dims = dense((2, 1080, 1920), (1,))
    assert split_bytes(dims, 0, BOOL, *A10) != split_bytes(dims, 1, BOOL, *A10)


def test_nothing_is_shared_where_nothing_is_there():
    assert split_bytes(dense((0, 1080, 1920), (1,)), 0, BOOL, *A10) == (0, 0)
