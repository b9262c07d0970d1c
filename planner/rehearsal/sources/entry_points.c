/* The driver's functions as the runtime hands them out (cudaGetDriverEntryPointByVersion): virtual memory, which
 * torch's expandable segments are made of, and a few facts. driver.c gives the same ones their public names. */
#include "stage.h"
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

extern cudaError_t fail(int error);
extern int kernel_launch(const void *key, dim3 grid, dim3 block, size_t shared, cudaStream_t stream);
extern int kernel_occupancy(int *out, int block, size_t shared);

static CUresult get_error_string(CUresult error, const char **text) { /* numbers are the runtime's */
  *text = cudaGetErrorString((cudaError_t)error);
  return CUDA_SUCCESS;
}
static CUresult get_error_name(CUresult error, const char **text) {
  *text = error == CUDA_SUCCESS               ? "CUDA_SUCCESS"
          : error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
                                              : "CUDA_ERROR_UNKNOWN";
  return CUDA_SUCCESS;
}
static CUresult init(unsigned int flags) { return (void)flags, imaginary_devices() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }
static CUresult driver_get_version(int *version) { return *version = CUDART_VERSION, CUDA_SUCCESS; }
static CUresult device_get_count(int *count) { return *count = imaginary_devices(), CUDA_SUCCESS; }
static int valid(int device) { return device >= 0 && device < imaginary_devices(); }
static CUresult device_get(CUdevice *out, int ordinal) {
  *out = ordinal;
  return valid(ordinal) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
static CUresult device_get_attribute(int *out, CUdevice_attribute which, CUdevice device) {
  if (!valid(device)) return CUDA_ERROR_INVALID_DEVICE;
  *out = device_attribute((int)which, device);
  return CUDA_SUCCESS;
}

/* ---------------------------------------------------------------- contexts: the primary ones only */

static char handles[STAGE_GPUS]; /* their addresses are the contexts */

static CUresult ctx_get_current(CUcontext *out) {
  int device = imaginary_current();
  *out = imaginary_devices() && imaginary_has_context(device) ? (CUcontext)&handles[device] : NULL;
  return CUDA_SUCCESS;
}
static CUresult ctx_set_current(CUcontext context) {
  char *handle = (char *)context;
  if (!handle) return CUDA_SUCCESS;
  if (handle < handles || handle >= handles + STAGE_GPUS) return CUDA_ERROR_INVALID_CONTEXT;
  device_select((int)(handle - handles));
  return CUDA_SUCCESS;
}
static CUresult ctx_push(CUcontext context) { return ctx_set_current(context); }
static CUresult ctx_pop(CUcontext *out) { return ctx_get_current(out); }
static CUresult ctx_get_limit(size_t *out, int which) { return (void)which, *out = 0, CUDA_ERROR_NOT_SUPPORTED; }
static CUresult primary_ctx_get_state(CUdevice device, unsigned int *flags, int *active) {
  *flags = 0;
  *active = valid(device) && imaginary_has_context(device);
  return valid(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
static CUresult primary_ctx_retain(CUcontext *out, CUdevice device) {
  CUresult error = (CUresult)imaginary_context(device);
  *out = error ? NULL : (CUcontext)&handles[device];
  return error;
}
static CUresult stream_get_ctx(CUstream stream, CUcontext *out) { return (void)stream, ctx_get_current(out); }

/* ---------------------------------------------------------------- virtual memory */

struct memory { /* it lives until it is released and mapped nowhere */
  size_t size;
  int device, mapped, released;
};
struct mapping {
  CUdeviceptr at;
  size_t size;
  struct memory *memory;
  struct mapping *next;
};
static struct mapping *mappings;

static void drop(struct memory *memory) {
  if (memory->mapped || !memory->released) return;
  memory_give(memory->device, memory->size);
  free(memory);
}

static CUresult mem_get_info(size_t *free_bytes, size_t *total) { return (CUresult)cudaMemGetInfo(free_bytes, total); }
static CUresult mem_get_address_range(CUdeviceptr *base, size_t *size, CUdeviceptr p) {
  return memory_range((void *)p, (void **)base, size) ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}
static CUresult mem_address_reserve(CUdeviceptr *out, size_t size, size_t align, CUdeviceptr at,
                                    unsigned long long flags) {
  (void)align, (void)at, (void)flags;
  return (CUresult)memory_reserve((void **)out, size);
}
static CUresult mem_address_free(CUdeviceptr p, size_t size) { return (void)size, (CUresult)memory_unreserve((void *)p); }
static CUresult mem_create(CUmemGenericAllocationHandle *out, size_t size, const CUmemAllocationProp *prop,
                           unsigned long long flags) {
  (void)flags;
  if (prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE) /* the host's: it would be counted as the device's */
    return (CUresult)imaginary_unknown("cuMemCreate (of host memory)", CUDA_ERROR_NOT_SUPPORTED);
  if (!size || size % GRANULE) return CUDA_ERROR_INVALID_VALUE;
  struct memory *memory = malloc(sizeof *memory);
  if (!memory) return CUDA_ERROR_OUT_OF_MEMORY;
  *memory = (struct memory){size, prop->location.id, 0, 0};
  CUresult error = (CUresult)memory_take(memory->device, size);
  if (imaginary_trace() > 1) imaginary_say("cuMemCreate %zu on device %d: %d", size, memory->device, error);
  if (error) free(memory);
  else *out = (CUmemGenericAllocationHandle)(uintptr_t)memory;
  return error;
}
static CUresult mem_release(CUmemGenericAllocationHandle handle) {
  struct memory *memory = (struct memory *)(uintptr_t)handle;
  imaginary_lock();
  memory->released = 1;
  drop(memory);
  imaginary_unlock();
  return CUDA_SUCCESS;
}
static CUresult mem_map(CUdeviceptr p, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                        unsigned long long flags) {
  (void)offset, (void)flags;
  struct mapping *mapping = malloc(sizeof *mapping);
  if (!mapping) return CUDA_ERROR_OUT_OF_MEMORY;
  struct memory *memory = (struct memory *)(uintptr_t)handle;
  imaginary_lock();
  memory->mapped++;
  *mapping = (struct mapping){p, size, memory, mappings};
  mappings = mapping;
  imaginary_unlock();
  return CUDA_SUCCESS;
}
static CUresult mem_unmap(CUdeviceptr p, size_t size) {
  imaginary_lock();
  for (struct mapping **link = &mappings; *link;) {
    struct mapping *mapping = *link;
    if (mapping->at < p || mapping->at >= p + size) {
      link = &mapping->next;
      continue;
    }
    *link = mapping->next;
    mapping->memory->mapped--;
    drop(mapping->memory);
    free(mapping);
  }
  memory_clear((void *)p, size);
  imaginary_unlock();
  return CUDA_SUCCESS;
}
static CUresult mem_set_access(CUdeviceptr p, size_t size, const CUmemAccessDesc *list, size_t count) {
  return (void)p, (void)size, (void)list, (void)count, CUDA_SUCCESS;
}
static CUresult mem_get_allocation_granularity(size_t *out, const CUmemAllocationProp *prop,
                                               CUmemAllocationGranularity_flags option) {
  (void)prop, (void)option;
  *out = GRANULE;
  return CUDA_SUCCESS;
}
static CUresult pointer_get_attribute(void *out, CUpointer_attribute which, CUdeviceptr p) {
  int device = memory_device((void *)p);
  if (device < 0) return CUDA_ERROR_INVALID_VALUE;
  switch (which) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext *)out = (CUcontext)&handles[device]; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)out = CU_MEMORYTYPE_DEVICE; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr *)out = p; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)out = device; return CUDA_SUCCESS;
    default: return (CUresult)imaginary_unknown("cuPointerGetAttribute (another attribute)", CUDA_ERROR_NOT_SUPPORTED);
  }
}

/* ---------------------------------------------------------------- modules, libraries: kernels compiled at run time
 * torch's jiterator and cuDNN's run-time engines compile with the real NVRTC and load what they got. */

static CUresult handle(void **out) { /* any address that is not null will do */
  static char object;
  *out = &object;
  return CUDA_SUCCESS;
}
static CUresult done(void) { return CUDA_SUCCESS; }
static CUresult module_get_function(void **out) { return handle(out); }
static CUresult launch_kernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                              unsigned bz, unsigned shared, CUstream stream) {
  return (CUresult)kernel_launch(f, (dim3){gx, gy, gz}, (dim3){bx, by, bz}, shared, (cudaStream_t)stream);
}
static CUresult launch_kernel_ex(const CUlaunchConfig *c, CUfunction f) {
  return launch_kernel(f, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ,
                       c->sharedMemBytes, c->hStream);
}
static CUresult func_get_attribute(int *out, CUfunction_attribute which) {
  *out = which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK          ? 1024
         : which == CU_FUNC_ATTRIBUTE_NUM_REGS                     ? 32
         : which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ? 48 << 10
                                                                   : 0;
  return CUDA_SUCCESS;
}
static CUresult occupancy(int *out, CUfunction f, int block, size_t shared) {
  return (void)f, (CUresult)kernel_occupancy(out, block, shared);
}

/* What torch looks up when it starts, and only distributed programs use. */
#define REFUSED(name) \
  static CUresult refused_##name(void) { return (CUresult)imaginary_unknown(#name, CUDA_ERROR_NOT_SUPPORTED); }
REFUSED(cuMemExportToShareableHandle)
REFUSED(cuMemImportFromShareableHandle)
REFUSED(cuMemRetainAllocationHandle)
REFUSED(cuMemGetAllocationPropertiesFromHandle)
REFUSED(cuMemsetD32Async)
REFUSED(cuStreamWriteValue32)

static const struct {
  const char *name;
  void *function;
} driver[] = {
    {"cuInit", (void *)init},
    {"cuDriverGetVersion", (void *)driver_get_version},
    {"cuGetErrorString", (void *)get_error_string},
    {"cuGetErrorName", (void *)get_error_name},
    {"cuDeviceGetCount", (void *)device_get_count},
    {"cuDeviceGet", (void *)device_get},
    {"cuDeviceGetAttribute", (void *)device_get_attribute},
    {"cuDevicePrimaryCtxGetState", (void *)primary_ctx_get_state},
    {"cuDevicePrimaryCtxRetain", (void *)primary_ctx_retain},
    {"cuCtxGetCurrent", (void *)ctx_get_current},
    {"cuCtxSetCurrent", (void *)ctx_set_current},
    {"cuCtxPushCurrent", (void *)ctx_push},
    {"cuCtxPopCurrent", (void *)ctx_pop},
    {"cuCtxGetLimit", (void *)ctx_get_limit},
    {"cuStreamGetCtx", (void *)stream_get_ctx},
    {"cuMemGetInfo", (void *)mem_get_info},
    {"cuMemGetAddressRange", (void *)mem_get_address_range},
    {"cuMemAddressReserve", (void *)mem_address_reserve},
    {"cuMemAddressFree", (void *)mem_address_free},
    {"cuMemCreate", (void *)mem_create},
    {"cuMemRelease", (void *)mem_release},
    {"cuMemMap", (void *)mem_map},
    {"cuMemUnmap", (void *)mem_unmap},
    {"cuMemSetAccess", (void *)mem_set_access},
    {"cuMemGetAllocationGranularity", (void *)mem_get_allocation_granularity},
    {"cuPointerGetAttribute", (void *)pointer_get_attribute},
    {"cuModuleLoad", (void *)handle},
    {"cuModuleLoadData", (void *)handle},
    {"cuModuleLoadDataEx", (void *)handle},
    {"cuModuleUnload", (void *)done},
    {"cuModuleGetFunction", (void *)module_get_function},
    {"cuLibraryLoadData", (void *)handle},
    {"cuLibraryLoadFromFile", (void *)handle},
    {"cuLibraryGetKernel", (void *)handle},
    {"cuLibraryUnload", (void *)done},
    {"cuKernelGetFunction", (void *)handle},
    {"cuKernelGetAttribute", (void *)func_get_attribute},
    {"cuKernelSetAttribute", (void *)done},
    {"cuFuncGetAttribute", (void *)func_get_attribute},
    {"cuFuncSetAttribute", (void *)done},
    {"cuFuncSetCacheConfig", (void *)done},
    {"cuLaunchKernel", (void *)launch_kernel},
    {"cuLaunchCooperativeKernel", (void *)launch_kernel},
    {"cuLaunchKernelEx", (void *)launch_kernel_ex},
    {"cuOccupancyMaxActiveBlocksPerMultiprocessor", (void *)occupancy},
#define REFUSE(name) {#name, (void *)refused_##name}
    REFUSE(cuMemExportToShareableHandle),
    REFUSE(cuMemImportFromShareableHandle),
    REFUSE(cuMemRetainAllocationHandle),
    REFUSE(cuMemGetAllocationPropertiesFromHandle),
    REFUSE(cuMemsetD32Async),
    REFUSE(cuStreamWriteValue32),
};

EXPORT void *imaginary_driver(const char *name) {
  for (size_t i = 0; i < sizeof driver / sizeof *driver; i++)
    if (!strcmp(driver[i].name, name)) return driver[i].function;
  return NULL;
}

EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **out, unsigned int version,
                                                    unsigned long long flags,
                                                    enum cudaDriverEntryPointQueryResult *status) {
  (void)version, (void)flags;
  *out = imaginary_driver(symbol);
  if (status) *status = *out ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  if (!*out && imaginary_trace()) imaginary_say("no driver entry point %s", symbol);
  return cudaSuccess;
}
#if CUDART_VERSION < 13000 /* what c10 asks there instead */
EXPORT cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **out, unsigned long long flags,
                                           enum cudaDriverEntryPointQueryResult *status) {
  return cudaGetDriverEntryPointByVersion(symbol, out, 0, flags, status);
}
#endif
