/* The default memory pool of each device (cudaMallocAsync).
 *
 * It keeps what is freed up to its threshold, and nothing is ever fragmented in it. How a driver's pool divides its
 * memory is not documented, so this says what the least is that such a pool takes. */
#include "stage.h"
#include <cuda_runtime_api.h>

extern cudaError_t fail(int error);
extern cudaError_t memory_allocate(void **out, size_t size, int device, int (*from)(int, size_t));

static struct pool {
  size_t used, used_high, reserved, reserved_high;
  uint64_t threshold;
} pools[STAGE_GPUS];

static void pool_trim(int device, size_t keep) {
  struct pool *pool = &pools[device];
  size_t least = keep > pool->used ? keep : pool->used;
  if (pool->reserved <= least) return;
  memory_give(device, pool->reserved - least);
  pool->reserved = least;
}
static int pool_take(int device, size_t bytes) {
  struct pool *pool = &pools[device];
  size_t missing = pool->used + bytes > pool->reserved ? pool->used + bytes - pool->reserved : 0;
  int error = missing ? memory_take(device, missing) : 0;
  if (error) return error;
  pool->reserved += missing;
  pool->used += bytes;
  if (pool->used > pool->used_high) pool->used_high = pool->used;
  if (pool->reserved > pool->reserved_high) pool->reserved_high = pool->reserved;
  return 0;
}
void pool_give(int device, size_t bytes) {
  pools[device].used -= bytes;
  pool_trim(device, (size_t)pools[device].threshold);
}
static int pool_device(cudaMemPool_t pool) {
  struct pool *p = (struct pool *)pool;
  return p >= pools && p < pools + STAGE_GPUS ? (int)(p - pools) : -1;
}

EXPORT cudaError_t cudaMallocAsync(void **out, size_t size, cudaStream_t stream) {
  static int said;
  if (!said++) imaginary_say("cudaMallocAsync: its pool is imagined without fragmentation, a driver's may take more");
  return (void)stream, memory_allocate(out, size, imaginary_current(), pool_take);
}
EXPORT cudaError_t cudaFreeAsync(void *p, cudaStream_t stream) { return (void)stream, cudaFree(p); }
EXPORT cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *out, int device) {
  if (device < 0 || device >= imaginary_devices()) return fail(cudaErrorInvalidDevice);
  *out = (cudaMemPool_t)&pools[device];
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr which, void *value) {
  int device = pool_device(pool);
  if (device < 0) return fail(cudaErrorInvalidValue);
  struct pool *p = &pools[device];
  switch (which) {
    case cudaMemPoolAttrReservedMemCurrent: *(uint64_t *)value = p->reserved; break;
    case cudaMemPoolAttrUsedMemCurrent: *(uint64_t *)value = p->used; break;
    case cudaMemPoolAttrReservedMemHigh: *(uint64_t *)value = p->reserved_high; break;
    case cudaMemPoolAttrUsedMemHigh: *(uint64_t *)value = p->used_high; break;
    case cudaMemPoolAttrReleaseThreshold: *(uint64_t *)value = p->threshold; break;
    default: *(int *)value = 1; /* may a block be used again across streams: by default it may */
  }
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr which, void *value) {
  int device = pool_device(pool);
  if (device < 0) return fail(cudaErrorInvalidValue);
  struct pool *p = &pools[device];
  imaginary_lock();
  if (which == cudaMemPoolAttrReleaseThreshold) p->threshold = *(uint64_t *)value;
  if (which == cudaMemPoolAttrReservedMemHigh) p->reserved_high = p->reserved;
  if (which == cudaMemPoolAttrUsedMemHigh) p->used_high = p->used;
  imaginary_unlock();
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep) {
  int device = pool_device(pool);
  if (device < 0) return fail(cudaErrorInvalidValue);
  imaginary_lock();
  pool_trim(device, keep);
  imaginary_unlock();
  return cudaSuccess;
}
/* No graph has memory, for none is captured. */
EXPORT cudaError_t cudaDeviceGetGraphMemAttribute(int device, enum cudaGraphMemAttributeType which, void *value) {
  return (void)device, (void)which, *(uint64_t *)value = 0, cudaSuccess;
}
EXPORT cudaError_t cudaDeviceSetGraphMemAttribute(int device, enum cudaGraphMemAttributeType which, void *value) {
  return (void)device, (void)which, (void)value, cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGraphMemTrim(int device) { return (void)device, cudaSuccess; }
EXPORT cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const struct cudaMemAccessDesc *list, size_t count) {
  int device = pool_device(pool);
  for (size_t i = 0; i < count; i++) /* its own device always may, the others never */
    if (list[i].location.id != device && list[i].flags != cudaMemAccessFlagsProtNone)
      return fail(cudaErrorPeerAccessUnsupported);
  return cudaSuccess;
}
