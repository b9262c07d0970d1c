/* Kernels are registered, checked and counted; none runs. The __cuda family is what nvcc's public crt headers declare. */
#define _GNU_SOURCE
#include "stage.h"
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

extern cudaError_t fail(int error);
extern int stream_error(cudaStream_t s);

struct name { /* of a kernel, kept only for a trace */
  const void *key;
  const char *name;
};
static struct name *names;
static size_t names_count, names_room;

EXPORT void **__cudaRegisterFatBinary(void *binary) {
  (void)binary;
  return calloc(1, sizeof(void *));
}
EXPORT void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
EXPORT void __cudaUnregisterFatBinary(void **handle) { free(handle); }
EXPORT char __cudaInitModule(void **handle) { return (void)handle, 0; }
EXPORT void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit,
                                   uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *size) {
  (void)handle, (void)device, (void)limit, (void)tid, (void)bid, (void)block, (void)grid, (void)size;
  if (!imaginary_trace()) return;
  imaginary_lock();
  if (names_count == names_room) {
    size_t more = names_room ? 2 * names_room : 1 << 14;
    struct name *grown = realloc(names, more * sizeof *names);
    if (grown) names = grown, names_room = more;
  }
  if (names_count < names_room) names[names_count++] = (struct name){host, name};
  imaginary_unlock();
}

/* Device variables: host memory of the right size, made when first asked for. */
struct variable {
  const void *host;
  size_t size;
  void *memory;
  struct variable *next;
};
static struct variable *variables;
EXPORT void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext, size_t size,
                              int constant, int global) {
  (void)handle, (void)device, (void)name, (void)ext, (void)constant, (void)global;
  struct variable *v = malloc(sizeof *v);
  if (!v) return;
  imaginary_lock();
  *v = (struct variable){host, size, NULL, variables};
  variables = v;
  imaginary_unlock();
}
static void *variable_memory(const void *host) {
  void *memory = NULL;
  imaginary_lock();
  for (struct variable *v = variables; v; v = v->next)
    if (v->host == host) {
      if (!v->memory) v->memory = calloc(1, v->size ? v->size : 1);
      memory = v->memory;
      break;
    }
  imaginary_unlock();
  return memory;
}
EXPORT cudaError_t cudaGetSymbolAddress(void **out, const void *symbol) {
  *out = variable_memory(symbol);
  return *out ? cudaSuccess : fail(cudaErrorInvalidSymbol);
}
EXPORT cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *src, size_t count, size_t offset,
                                      enum cudaMemcpyKind kind) {
  (void)kind;
  char *memory = variable_memory(symbol);
  if (!memory) return fail(cudaErrorInvalidSymbol);
  memcpy(memory + offset, src, count);
  return cudaSuccess;
}

/* ---------------------------------------------------------------- launches */

static void tell(const void *key, dim3 grid, dim3 block, size_t shared) {
  const char *name = "?";
  imaginary_lock();
  for (size_t i = 0; i < names_count; i++)
    if (names[i].key == key) {
      name = names[i].name;
      break;
    }
  imaginary_unlock();
  imaginary_say("kernel %s <<<%u,%u,%u;%u,%u,%u;%zu>>>", name, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared);
}

/* Of any kernel, the runtime's or the driver's (driver.c): 0, or CUDA's error. */
int kernel_launch(const void *key, dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  int error = stream_error(stream);
  if (error) return error;
  if (imaginary_trace()) tell(key, grid, block, shared);
  if (!grid.x || !grid.y || !grid.z || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535 || !block.x ||
      !block.y || !block.z || (size_t)block.x * block.y * block.z > 1024)
    return cudaErrorInvalidConfiguration;
  if (shared > imaginary_gpu()->shared_optin) return cudaErrorInvalidValue;
  device_launched();
  return 0;
}

struct configuration {
  dim3 grid, block;
  size_t shared;
  void *stream;
};
static __thread struct configuration stack[16];
static __thread int depth;

EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st *stream) {
  if (depth == 16) return 1;
  stack[depth++] = (struct configuration){grid, block, shared, stream};
  return 0;
}
EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  if (!depth) return fail(cudaErrorMissingConfiguration);
  struct configuration c = stack[--depth];
  *grid = c.grid, *block = c.block, *shared = c.shared, *(void **)stream = c.stream;
  return cudaSuccess;
}
EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *function) {
  *out = (cudaKernel_t)function;
  return cudaSuccess;
}
EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args, size_t shared,
                                      cudaStream_t stream) {
  return (void)args, fail(kernel_launch((const void *)kernel, grid, block, shared, stream));
}
EXPORT cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **args, size_t shared,
                                    cudaStream_t stream) {
  return (void)args, fail(kernel_launch(function, grid, block, shared, stream));
}
EXPORT cudaError_t cudaLaunchCooperativeKernel(const void *function, dim3 grid, dim3 block, void **args, size_t shared,
                                               cudaStream_t stream) {
  return (void)args, fail(kernel_launch(function, grid, block, shared, stream));
}
EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *c, const void *function, void **args) {
  return (void)args, fail(kernel_launch(function, c->gridDim, c->blockDim, c->dynamicSmemBytes, c->stream));
}

/* ---------------------------------------------------------------- what is asked of a kernel
 * No machine code is read: every kernel has 32 registers and may have 1,024 threads. */

EXPORT cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *a, const void *function) {
  (void)function;
  int error = imaginary_context(imaginary_current());
  if (error) return fail(error);
  const struct gpu *gpu = imaginary_gpu();
  memset(a, 0, sizeof *a);
  a->maxThreadsPerBlock = 1024;
  a->numRegs = 32;
  a->ptxVersion = a->binaryVersion = gpu->major * 10 + gpu->minor;
  a->maxDynamicSharedSizeBytes = 48 << 10;
  a->preferredShmemCarveout = -1;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute which, int value) {
  (void)function;
  int error = imaginary_context(imaginary_current());
  if (error) return fail(error);
  if (which == cudaFuncAttributeMaxDynamicSharedMemorySize && (size_t)value > imaginary_gpu()->shared_optin)
    return fail(cudaErrorInvalidValue);
  return cudaSuccess;
}
int kernel_occupancy(int *out, int block, size_t shared) {
  int error = imaginary_context(imaginary_current());
  if (error) return error;
  if (block <= 0) return cudaErrorInvalidValue;
  const struct gpu *gpu = imaginary_gpu();
  int count = gpu->threads / block;
  if (count > gpu->blocks) count = gpu->blocks;
  if (shared) {
    int fit = (int)(gpu->shared / (shared + (gpu->major >= 8 ? 1024 : 0)));
    if (count > fit) count = fit;
  }
  *out = count;
  return 0;
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *out, const void *function, int block,
                                                                          size_t shared, unsigned int flags) {
  return (void)function, (void)flags, fail(kernel_occupancy(out, block, shared));
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *function, int block,
                                                                 size_t shared) {
  return (void)function, fail(kernel_occupancy(out, block, shared));
}
