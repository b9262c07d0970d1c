"""The real CUDA build of torch on an imaginary GPU, whose kernels do nothing.

`machine` says what the GPUs are, `building` makes the libraries that stand in for CUDA's, `stage` is a machine
with such GPUs on which processes are started. Nothing here imports torch: it is loaded by the processes on the stage.

What is true in a rehearsal: every byte of torch's caching allocator, which kernels are launched, which engines and
workspaces cuDNN chooses, when memory runs out. What is not: values (memory holds what was last copied there, or zeros),
time, the size of the CUDA context (assumed), and whatever a kernel would have said.

Traps:

- What a program computes is garbage. One whose control flow depends on it (printing a tensor on the GPU, nonzero,
  masked_select, repeat_interleave) does something else than on a GPU, and may ask for any size; the host's memory is
  capped for that. `zero_scalars` makes each number of up to 8 bytes that leaves the device 0.
- A library that is loaded already wins over one that is preloaded: the stand-ins must be there when the process starts.
- Every kernel has 32 registers and may have 1,024 threads; scratch that depends on a kernel's occupancy may differ.
- The heuristics of cublasLt always find an algorithm, and an engine of cuDNN never fails to execute, where on a GPU
  torch would go on to the next.
- cuSOLVER, cuFFT, cuSPARSE, cuRAND and NCCL are the real libraries, which find no driver and say so.
- CUDA graphs, managed memory and memory shared between processes are refused.
- A child that is forked after CUDA was asked for anything cannot use it, as on a GPU.
"""
