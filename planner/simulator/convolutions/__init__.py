"""The workspace of a convolution: asked of cuDNN itself, looked up in the shipped table, or a stated rule.

    workspaces.py    who is asked first, second and third, and what was answered by whom
    convolution.py   what is asked about, and which of torch's kernels runs it
    cudnn.py         cuDNN's documented graph API by ctypes; the program of the child process
    asking.py        the child process, as seen by this one
    devices.py       a GPU as cuDNN wants it described
    remembered.py    answers of earlier runs, on disk
    table.py         answers that ship with the package

Nothing here imports torch; torch_convolutions.py makes a Convolution of tensors.
"""
