/* The devices that a process sees, their facts, and its context on each.
 *
 * CUDA_VISIBLE_DEVICES as the CUDA programming guide has it ("CUDA Environment Variables"): indices or beginnings of
 * UUIDs, up to the first that names nothing; a device named twice hides all, as torch's own reading of it
 * (torch/cuda/__init__.py, _parse_visible_devices) says. CUDA_DEVICE_ORDER: fastest first unless PCI_BUS_ID. */
#define _GNU_SOURCE
#include "stage.h"
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int places[STAGE_GPUS], visible;
static pthread_once_t visible_once = PTHREAD_ONCE_INIT;
static __thread int current;
static int contexts[STAGE_GPUS];
static struct usage *usages[STAGE_GPUS]; /* this process's, of those with a context */

static double speed(const struct gpu *gpu) {
  return (double)gpu->multiprocessors * gpu->threads * gpu->clock_khz;
}

static int named(const struct stage *stage, const int *order, const char *entry) { /* -1: names nothing */
  char *end;
  long index = strtol(entry, &end, 10);
  if (end != entry) return *end == 0 && index >= 0 && index < stage->gpus ? order[index] : -1;
  int found = -1;
  if (strncmp(entry, "GPU-", 4)) return -1;
  for (int i = 0; i < stage->gpus; i++)
    if (!strncmp(stage->gpu[i].uuid, entry, strlen(entry))) {
      if (found >= 0) return -1;
      found = i;
    }
  return found;
}

static void choose(void) {
  struct stage *stage = imaginary_stage();
  stage_started = 1;
  if (!stage) return;
  int order[STAGE_GPUS];
  const char *by = getenv("CUDA_DEVICE_ORDER");
  for (int i = 0; i < stage->gpus; i++) {
    int at = i;
    if (!by || strcmp(by, "PCI_BUS_ID"))
      for (; at > 0 && speed(&stage->gpu[i]) > speed(&stage->gpu[order[at - 1]]); at--) order[at] = order[at - 1];
    order[at] = i;
  }
  const char *asked = getenv("CUDA_VISIBLE_DEVICES");
  if (!asked) {
    memcpy(places, order, sizeof places);
    visible = stage->gpus;
    return;
  }
  char text[1024], *rest = text, *entry;
  snprintf(text, sizeof text, "%s", asked);
  while ((entry = strsep(&rest, ","))) {
    while (*entry == ' ') entry++;
    for (char *end = entry + strlen(entry); end > entry && end[-1] == ' ';) *--end = 0;
    int place = named(stage, order, entry);
    if (place < 0) return;
    for (int i = 0; i < visible; i++)
      if (places[i] == place) {
        visible = 0;
        return;
      }
    places[visible++] = place;
  }
}

int imaginary_devices(void) {
  pthread_once(&visible_once, choose);
  return visible;
}
int imaginary_place(int device) { return places[device]; }
int imaginary_current(void) { return current; }
const struct gpu *imaginary_gpu(void) { return &imaginary_stage()->gpu[places[current]]; }
void device_select(int device) { current = device; }
int imaginary_has_context(int device) { return !stage_forked && contexts[device]; }

/* The primary context is made by the first call that needs it, and takes its bytes then. */
int imaginary_context(int device) {
  if (stage_forked) return cudaErrorInitializationError;
  if (imaginary_devices() == 0) return cudaErrorNoDevice;
  if (device < 0 || device >= visible) return cudaErrorInvalidDevice;
  if (__atomic_load_n(&contexts[device], __ATOMIC_ACQUIRE)) return cudaSuccess;
  int place = places[device], error = cudaSuccess;
  struct gpu *gpu = &imaginary_stage()->gpu[place];
  imaginary_enter();
  if (!contexts[device]) {
    struct process *process = stage_process();
    uint64_t taken = imaginary_taken(place);
    if (taken + gpu->neighbour + gpu->context > gpu->total) {
      process->usage[place].refused++;
      error = cudaErrorMemoryAllocation;
    } else {
      usages[device] = &process->usage[place];
      usages[device]->context = process->context_peak[place] = gpu->context;
      if (taken + gpu->context > gpu->highest) gpu->highest = taken + gpu->context;
      __atomic_store_n(&contexts[device], 1, __ATOMIC_RELEASE);
    }
  }
  imaginary_leave();
  return error;
}

void device_launched(void) { __atomic_fetch_add(&usages[current]->kernels, 1, __ATOMIC_RELAXED); }

long imaginary_computed(void) {
  if (imaginary_devices() && imaginary_has_context(current)) device_launched();
  return 0;
}

/* Kernels that this process has launched, on all devices; a call of cuBLAS or cuDNN counts as one. */
EXPORT long imaginary_kernels(void) {
  long sum = 0;
  for (int i = 0; i < imaginary_devices(); i++)
    if (usages[i] && contexts[i]) sum += (long)__atomic_load_n(&usages[i]->kernels, __ATOMIC_RELAXED);
  return sum;
}

/* A device's memory from now on; what is held already stays. 0, or -1 for a device that is not there. */
EXPORT int imaginary_set_total(int device, size_t bytes) {
  if (device < 0 || device >= imaginary_devices()) return -1;
  imaginary_enter();
  imaginary_stage()->gpu[places[device]].total = bytes;
  imaginary_leave();
  return 0;
}

/* ---------------------------------------------------------------- the runtime's questions */

extern cudaError_t fail(int error);

EXPORT cudaError_t cudaGetDeviceCount(int *count) {
  *count = imaginary_devices();
  if (stage_forked) return fail(cudaErrorInitializationError);
  return *count ? cudaSuccess : fail(cudaErrorNoDevice);
}
EXPORT cudaError_t cudaGetDevice(int *device) {
  *device = current;
  return imaginary_devices() ? cudaSuccess : fail(cudaErrorNoDevice);
}
/* Since CUDA 12 it makes the context too (its reference says so). */
EXPORT cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= imaginary_devices()) return fail(cudaErrorInvalidDevice);
  current = device;
  return fail(imaginary_context(device));
}
EXPORT cudaError_t cudaDeviceSynchronize(void) {
  int error = imaginary_context(current);
  if (!error) device_waited();
  return fail(error);
}
EXPORT cudaError_t cudaRuntimeGetVersion(int *version) { return *version = CUDART_VERSION, cudaSuccess; }
EXPORT cudaError_t cudaDriverGetVersion(int *version) { return *version = CUDART_VERSION, cudaSuccess; }
EXPORT cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
EXPORT cudaError_t cudaProfilerStop(void) { return cudaSuccess; }
EXPORT cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device) {
  if (device < 0 || device >= imaginary_devices()) return fail(cudaErrorInvalidDevice);
  snprintf(text, (size_t)length, "0000:%02X:00.0", places[device] + 1);
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer) {
  int count = imaginary_devices();
  *can = 0;
  return device < 0 || device >= count || peer < 0 || peer >= count ? fail(cudaErrorInvalidDevice) : cudaSuccess;
}
EXPORT cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
  return (void)peer, (void)flags, fail(cudaErrorPeerAccessUnsupported);
}

/* One list for the properties, the runtime's attributes and the driver's, whose numbers agree. What is the same on
 * all capabilities from 7.5 on is from the programming guide's table "Technical Specifications per Compute Capability". */
int device_attribute(int which, int device) {
  const struct gpu *gpu = &imaginary_stage()->gpu[places[device]];
  switch (which) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: return 1024;
    case cudaDevAttrMaxBlockDimZ: return 64;
    case cudaDevAttrMaxGridDimX: return 2147483647;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: return 65535;
    case cudaDevAttrMaxSharedMemoryPerBlock: return 48 << 10;
    case cudaDevAttrTotalConstantMemory: return 65536;
    case cudaDevAttrWarpSize: return 32;
    case cudaDevAttrMaxPitch: return 2147483647;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: return 65536;
    case cudaDevAttrClockRate: return gpu->clock_khz;
    case cudaDevAttrMemoryClockRate: return gpu->memory_clock_khz;
    case cudaDevAttrTextureAlignment:
    case cudaDevAttrSurfaceAlignment: return 512;
    case cudaDevAttrMultiProcessorCount: return gpu->multiprocessors;
    case cudaDevAttrPciBusId: return places[device] + 1;
    case cudaDevAttrGlobalMemoryBusWidth: return gpu->bus_bits;
    case cudaDevAttrL2CacheSize: return (int)gpu->l2;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return gpu->threads;
    case cudaDevAttrAsyncEngineCount: return 2;
    case cudaDevAttrTexturePitchAlignment: return 32;
    case cudaDevAttrComputeCapabilityMajor: return gpu->major;
    case cudaDevAttrComputeCapabilityMinor: return gpu->minor;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return (int)gpu->shared;
    case cudaDevAttrSingleToDoublePrecisionPerfRatio: return 64;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return (int)gpu->shared_optin;
    case cudaDevAttrMaxBlocksPerMultiprocessor: return gpu->blocks;
    case cudaDevAttrReservedSharedMemoryPerBlock: return gpu->major >= 8 ? 1024 : 0;
    case cudaDevAttrClusterLaunch: return gpu->major >= 9;
    case cudaDevAttrGpuOverlap:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrGlobalL1CacheSupported:
    case cudaDevAttrLocalL1CacheSupported:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrConcurrentManagedAccess:
    case cudaDevAttrComputePreemptionSupported:
    case cudaDevAttrCanUseHostPointerForRegisteredMem:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrHostRegisterSupported:
    case cudaDevAttrMemoryPoolsSupported:
    case 102: /* CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED */
      return 1;
    default: return 0;
  }
}

EXPORT cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int device) {
  if (device < 0 || device >= imaginary_devices()) return fail(cudaErrorInvalidDevice);
  *value = device_attribute((int)which, device);
  return cudaSuccess;
}

EXPORT cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
  if (device < 0 || device >= imaginary_devices()) return fail(cudaErrorInvalidDevice);
  const struct gpu *gpu = &imaginary_stage()->gpu[places[device]];
#define ATTRIBUTE(name) device_attribute(cudaDevAttr##name, device)
  memset(p, 0, sizeof *p);
  snprintf(p->name, sizeof p->name, "%s", gpu->name);
  for (int i = 0, at = 4; i < 16; i++, at += 2) { /* after "GPU-", two digits a byte */
    if (gpu->uuid[at] == '-') at++;
    unsigned byte = 0;
    sscanf(gpu->uuid + at, "%2x", &byte);
    p->uuid.bytes[i] = (char)byte;
  }
  p->totalGlobalMem = gpu->total;
  p->sharedMemPerBlock = (size_t)ATTRIBUTE(MaxSharedMemoryPerBlock);
  p->regsPerBlock = p->regsPerMultiprocessor = ATTRIBUTE(MaxRegistersPerBlock);
  p->warpSize = ATTRIBUTE(WarpSize);
  p->memPitch = (size_t)ATTRIBUTE(MaxPitch);
  p->maxThreadsPerBlock = ATTRIBUTE(MaxThreadsPerBlock);
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 2147483647, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->totalConstMem = (size_t)ATTRIBUTE(TotalConstantMemory);
  p->major = gpu->major;
  p->minor = gpu->minor;
  p->textureAlignment = p->surfaceAlignment = 512;
  p->texturePitchAlignment = 32;
  p->multiProcessorCount = gpu->multiprocessors;
  p->canMapHostMemory = p->concurrentKernels = p->unifiedAddressing = 1;
  p->pciBusID = ATTRIBUTE(PciBusId);
  p->asyncEngineCount = 2;
  p->memoryBusWidth = gpu->bus_bits;
  p->l2CacheSize = (int)gpu->l2;
  p->maxThreadsPerMultiProcessor = gpu->threads;
  p->streamPrioritiesSupported = p->globalL1CacheSupported = p->localL1CacheSupported = 1;
  p->sharedMemPerMultiprocessor = gpu->shared;
  p->managedMemory = p->concurrentManagedAccess = p->computePreemptionSupported = 1;
  p->canUseHostPointerForRegisteredMem = p->cooperativeLaunch = 1;
  p->sharedMemPerBlockOptin = gpu->shared_optin;
  p->maxBlocksPerMultiProcessor = gpu->blocks;
  p->reservedSharedMemPerBlock = (size_t)ATTRIBUTE(ReservedSharedMemoryPerBlock);
  p->hostRegisterSupported = p->memoryPoolsSupported = 1;
  p->clusterLaunch = gpu->major >= 9;
#undef ATTRIBUTE
  return cudaSuccess;
}
