/* Pinned memory, and copies and fills, which are real: what reaches the program is what was put there.
 *
 * What a kernel should have computed is whatever its memory holds. With zero_scalars each number of up to 8 bytes that
 * leaves a device is 0 (nonzero finds nothing, item() is 0 or False), so that such a run is the same every time. Above 1
 * it says that nobody looks at arrays: copies of 64 KiB and more are left out. */
#define _GNU_SOURCE
#include "stage.h"
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern cudaError_t fail(int error);

struct range {
  char *start;
  size_t size;
  int mapped; /* ours, or only registered */
  struct range *next;
};
static struct range *ranges;

static cudaError_t note(void *p, size_t size, int mapped) {
  struct range *r = malloc(sizeof *r);
  if (!r) return fail(cudaErrorMemoryAllocation);
  imaginary_lock();
  *r = (struct range){p, size, mapped, ranges};
  ranges = r;
  imaginary_unlock();
  return cudaSuccess;
}
static cudaError_t forget(void *p) {
  cudaError_t error = p ? cudaErrorInvalidValue : cudaSuccess;
  imaginary_lock();
  for (struct range **link = &ranges; *link; link = &(*link)->next) {
    struct range *r = *link;
    if (r->start != p) continue;
    *link = r->next;
    if (r->mapped) munmap(r->start, r->size);
    free(r);
    error = cudaSuccess;
    break;
  }
  imaginary_unlock();
  return fail(error);
}

/* Private memory, so that the cap on the host's counts it. */
EXPORT cudaError_t cudaHostAlloc(void **out, size_t size, unsigned int flags) {
  (void)flags;
  *out = NULL;
  int error = imaginary_context(imaginary_current());
  if (error || !size) return fail(error);
  if (memory_injected()) return fail(cudaErrorMemoryAllocation);
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (imaginary_trace() > 1) imaginary_say("%zu bytes of pinned memory%s", size, p == MAP_FAILED ? " refused" : "");
  if (p == MAP_FAILED) return fail(cudaErrorMemoryAllocation);
  *out = p;
  return note(p, size, 1);
}
EXPORT cudaError_t cudaMallocHost(void **out, size_t size) { return cudaHostAlloc(out, size, 0); }
EXPORT cudaError_t cudaFreeHost(void *p) { return forget(p); }
EXPORT cudaError_t cudaHostRegister(void *p, size_t size, unsigned int flags) {
  (void)flags;
  int error = imaginary_context(imaginary_current());
  return error ? fail(error) : note(p, size, 0);
}
EXPORT cudaError_t cudaHostUnregister(void *p) { return forget(p); }
EXPORT cudaError_t cudaHostGetDevicePointer(void **out, void *p, unsigned int flags) {
  (void)flags;
  *out = p;
  return cudaSuccess;
}

EXPORT cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *a, const void *p) {
  memset(a, 0, sizeof *a);
  int device = memory_device(p);
  if (device >= 0) {
    a->type = cudaMemoryTypeDevice;
    a->device = device;
    a->devicePointer = (void *)p;
    return cudaSuccess;
  }
  imaginary_lock();
  struct range *r = ranges;
  while (r && ((char *)p < r->start || (char *)p >= r->start + r->size)) r = r->next;
  a->device = r ? 0 : -2;
  a->type = r ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
  a->hostPointer = (void *)p;
  a->devicePointer = r ? (void *)p : NULL;
  imaginary_unlock();
  return cudaSuccess;
}

/* Memory that nobody wrote is not read: that would make its pages. */
static void move(char *dst, const char *src, size_t count) {
  if (count < 1 << 16 || memory_device(src) < 0) {
    memmove(dst, src, count);
    return;
  }
  for (size_t done = 0; done < count;) {
    int data;
    size_t part = memory_data(src + done, count - done, &data);
    if (data) memmove(dst + done, src + done, part);
    else memory_clear(dst + done, part);
    done += part;
  }
}
static cudaError_t copy(void *dst, const void *src, size_t count) {
  int error = imaginary_context(imaginary_current());
  if (error) return fail(error);
  if (count <= 8 && memory_device(src) >= 0 && memory_device(dst) < 0) {
    if (imaginary_trace()) imaginary_say("%zu bytes leave the device", count);
    if (imaginary_stage()->zero_scalars) return memset(dst, 0, count), cudaSuccess;
  }
  if (imaginary_stage()->zero_scalars > 1 && count >= 1 << 16) return cudaSuccess;
  if (memory_device(dst) >= 0 && memory_device(src) < 0 && !memory_host_has(count)) return fail(cudaErrorMemoryAllocation);
  if (count) move(dst, src, count);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind) {
  cudaError_t error = copy(dst, src, count);
  return (void)kind, error ? error : cudaStreamSynchronize(NULL);
}
EXPORT cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  return (void)kind, (void)stream, copy(dst, src, count);
}
EXPORT cudaError_t cudaMemcpyPeerAsync(void *dst, int to, const void *src, int from, size_t count,
                                       cudaStream_t stream) {
  return (void)to, (void)from, (void)stream, copy(dst, src, count);
}
EXPORT cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width,
                                     size_t height, enum cudaMemcpyKind kind, cudaStream_t stream) {
  (void)kind, (void)stream;
  for (size_t row = 0; row < height; row++) {
    cudaError_t error = copy((char *)dst + row * dpitch, (const char *)src + row * spitch, width);
    if (error) return error;
  }
  return cudaSuccess;
}

static cudaError_t set(void *p, int value, size_t count) {
  int error = imaginary_context(imaginary_current());
  if (error) return fail(error);
  if (value && memory_device(p) >= 0 && !memory_host_has(count)) return fail(cudaErrorMemoryAllocation);
  if (value == 0) memory_clear(p, count);
  else memset(p, value, count);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemset(void *p, int value, size_t count) { return set(p, value, count); }
EXPORT cudaError_t cudaMemsetAsync(void *p, int value, size_t count, cudaStream_t stream) {
  return (void)stream, set(p, value, count);
}
