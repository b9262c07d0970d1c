/* libcudnn: backend descriptors are the real library's, with its documented device-less mode in place of a handle, so
 * that heuristics choose real engines and plans state real workspaces; nothing is executed.
 *
 * cudnnCreate() would need a device, so the handle is ours and must never reach the real library. Functions that take
 * no handle are forwarded; of the others, those that compute do nothing and those that state a size are refused
 * (building.py generates all of them from what torch wants). */
#define _GNU_SOURCE
#include "stage.h"
#include <cuda_runtime_api.h>
#include <cudnn_graph.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *real;
static pthread_once_t real_once = PTHREAD_ONCE_INIT;

static void real_open(void) {
  const char *path = getenv("SAM2_PLAN_REHEARSAL_CUDNN");
  real = path && *path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (real) return;
  imaginary_say("no real cuDNN in SAM2_PLAN_REHEARSAL_CUDNN: %s", path && *path ? dlerror() : "it is not set");
  abort();
}

EXPORT void *imaginary_real_cudnn(const char *name) {
  pthread_once(&real_once, real_open);
  void *p = dlsym(real, name);
  if (p) return p;
  imaginary_say("the real cuDNN lacks %s", name);
  abort();
}

#define REAL(name)                   \
  static __typeof__(&name) call;     \
  if (!call) call = (__typeof__(&name))imaginary_real_cudnn(#name)

struct handle {
  cudaStream_t stream;
};

EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t *out) {
  int error = imaginary_context(imaginary_current());
  *out = error ? NULL : calloc(1, 4096);
  return error ? CUDNN_STATUS_NOT_INITIALIZED : CUDNN_STATUS_SUCCESS;
}
EXPORT cudnnStatus_t cudnnDestroy(cudnnHandle_t h) { return free(h), CUDNN_STATUS_SUCCESS; }
EXPORT cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t stream) {
  ((struct handle *)h)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
EXPORT cudnnStatus_t cudnnGetStream(cudnnHandle_t h, cudaStream_t *stream) {
  *stream = ((struct handle *)h)->stream;
  return CUDNN_STATUS_SUCCESS;
}

static cudnnBackendDescriptor_t described[STAGE_GPUS]; /* of each device that was asked for, for ever */

static cudnnBackendDescriptor_t describe(int device) {
  const struct gpu *gpu = imaginary_gpu();
  char text[2048];
  snprintf(text, sizeof text,
           "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
           "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,"
           "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%zu,"
           "\"reservedSharedMemoryPerBlock\":%d,\"maxRegistersPerSM\":65536,"
           "\"maxCtasPerSM\":%d,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":%d,"
           "\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,"
           "\"totalGlobalMem\":%zu,\"smClockRateKHz\":%d,\"memClockRateKHz\":%d,"
           "\"l2CacheSize\":%zu,\"cudaDeviceId\":%d,\"deviceVer\":%d,\"driverVer\":%d,"
           "\"deviceName\":\"%s\"}",
           gpu->multiprocessors, (size_t)gpu->shared_optin, gpu->major >= 8 ? 1024 : 0, gpu->blocks, gpu->threads,
           (size_t)gpu->total, gpu->clock_khz, gpu->memory_clock_khz, (size_t)gpu->l2, device,
           gpu->major * 100 + gpu->minor * 10, CUDART_VERSION, gpu->name);
  cudnnBackendDescriptor_t made = NULL;
  cudnnStatus_t (*create)(cudnnBackendDescriptorType_t, cudnnBackendDescriptor_t *) =
      imaginary_real_cudnn("cudnnBackendCreateDescriptor");
  cudnnStatus_t (*set)(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, int64_t,
                       const void *) = imaginary_real_cudnn("cudnnBackendSetAttribute");
  cudnnStatus_t (*finalize)(cudnnBackendDescriptor_t) = imaginary_real_cudnn("cudnnBackendFinalize");
  cudnnStatus_t a = create(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &made);
  cudnnStatus_t b =
      set(made, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(text) + 1, text);
  cudnnStatus_t c = finalize(made);
  if (a || b || c) {
    imaginary_say("cuDNN refuses the device's properties (%d, %d, %d): %s", a, b, c, text);
    abort();
  }
  return made;
}

static cudnnBackendDescriptor_t *properties(void) {
  int device = imaginary_current();
  imaginary_lock();
  if (!described[device]) described[device] = describe(device);
  imaginary_unlock();
  return &described[device];
}

EXPORT cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                              cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  REAL(cudnnBackendSetAttribute);
  cudnnStatus_t status;
  switch ((int)name) {
    case CUDNN_ATTR_OPERATIONGRAPH_HANDLE: /* not needed without a device */
      return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_HANDLE:
      return call(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, properties());
    case CUDNN_ATTR_ENGINEHEUR_MODE:
      status = call(d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, properties());
      if (status) imaginary_say("cuDNN refuses ENGINEHEUR_DEVICEPROP: %d", status);
      break;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      status = call(d, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, properties());
      if (status) imaginary_say("cuDNN refuses ENGINE_DEVICEPROP: %d", status);
      break;
    default: break;
  }
  if (type == CUDNN_TYPE_HANDLE) return CUDNN_STATUS_SUCCESS;
  return call(d, name, type, count, values);
}

EXPORT cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d, cudnnBackendAttributeName_t name,
                                              cudnnBackendAttributeType_t type, int64_t asked, int64_t *count,
                                              void *values) {
  REAL(cudnnBackendGetAttribute);
  cudnnStatus_t status = call(d, name, type, asked, count, values);
  if (imaginary_trace() && name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)
    imaginary_say("cuDNN workspace %lld (status %d)", values ? (long long)*(int64_t *)values : -1LL, status);
  return status;
}

EXPORT cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d) {
  REAL(cudnnBackendFinalize);
  cudnnStatus_t status = call(d);
  if (status && imaginary_trace()) imaginary_say("cuDNN finalize status %d", status);
  return status;
}

EXPORT cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  (void)h, (void)plan, (void)pack;
  return (cudnnStatus_t)imaginary_computed();
}
