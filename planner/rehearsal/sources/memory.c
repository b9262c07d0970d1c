/* A device's memory: addresses in a range of its own, bytes accounted on the stage.
 *
 * The range is shared memory that is committed page by page as it is written: real are only what was copied there
 * and filled with something other than zero. Shared, because the cap on the host's private memory does not count it.
 * cudaMalloc takes the first address that fits; nothing is said of where a driver would put it. */
#define _GNU_SOURCE
#include "stage.h"
#include <cuda_runtime_api.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern cudaError_t fail(int error);
extern void pool_give(int device, size_t bytes);

struct block { /* a device's allocations, by address */
  char *start;
  size_t size;  /* asked for */
  size_t taken; /* multiple of GRANULE */
  int counted;  /* memory, or only addresses (cuMemAddressReserve) */
  int pooled;   /* of cudaMallocAsync: the pool has taken its bytes */
  struct block *next;
};
static struct arena {
  char *start, *end;
  int file;
  struct block *blocks;
} arenas[STAGE_GPUS]; /* by the device's number in this process */

static size_t granules(size_t size) { return (size + GRANULE - 1) & ~(GRANULE - 1); }

static int arena_open(struct arena *arena) {
  if (arena->start) return 1;
  arena->file = memfd_create("imaginary device", MFD_CLOEXEC);
  for (size_t bytes = (size_t)4 << 40; arena->file >= 0 && bytes > (size_t)1 << 36; bytes >>= 1) {
    if (ftruncate(arena->file, (off_t)bytes)) continue;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena->file, 0);
    if (p == MAP_FAILED) continue;
    arena->start = p;
    arena->end = arena->start + bytes;
    return 1;
  }
  imaginary_say("no addresses for a device's memory: %s", strerror(errno));
  return 0;
}

int memory_device(const void *p) {
  for (int i = 0; i < STAGE_GPUS; i++)
    if (arenas[i].start && (char *)p >= arenas[i].start && (char *)p < arenas[i].end) return i;
  return -1;
}

/* Pages of which nothing is known any more go back to the host, and read as zero. */
static void discard(struct arena *arena, char *start, size_t size) {
  if (fallocate(arena->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start - arena->start, (off_t)size))
    memset(start, 0, size); /* a kernel that cannot */
}

void memory_clear(void *p, size_t count) {
  int device = memory_device(p);
  uintptr_t start = ((uintptr_t)p + 4095) & ~(uintptr_t)4095, end = ((uintptr_t)p + count) & ~(uintptr_t)4095;
  if (device < 0 || count < 1 << 16) {
    memset(p, 0, count);
    return;
  }
  memset(p, 0, start - (uintptr_t)p);
  discard(&arenas[device], (char *)start, end - start);
  memset((void *)end, 0, (uintptr_t)p + count - end);
}

size_t memory_data(const void *p, size_t count, int *data) {
  int device = memory_device(p);
  *data = 1;
  if (device < 0) return count;
  struct arena *arena = &arenas[device];
  off_t at = (char *)p - arena->start, next = lseek(arena->file, at, SEEK_DATA);
  if (next == at) next = lseek(arena->file, at, SEEK_HOLE);
  else if (next > at || errno == ENXIO) *data = 0, next = next < 0 ? at + (off_t)count : next;
  else return count;
  return next - at < (off_t)count ? (size_t)(next - at) : count;
}

/* Whether the host has room for so much more that is really written. The cap does not count a device's memory, so a
 * program that copies more there than the machine has must be told before the machine is gone. */
int memory_host_has(size_t count) {
  enum { STEP = 64 << 20, SPARE = 512 << 20 };
  static size_t since; /* written since it was looked at */
  if (__atomic_add_fetch(&since, count, __ATOMIC_RELAXED) < STEP) return 1;
  __atomic_store_n(&since, 0, __ATOMIC_RELAXED);
  FILE *file = fopen("/proc/meminfo", "re");
  unsigned long long available = ~0ull;
  char line[256];
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "MemAvailable: %llu kB", &available) == 1) available <<= 10;
  if (file) fclose(file);
  if (available > count && available - count > SPARE) return 1;
  imaginary_say("the host has %llu bytes left, too few for %zu more that are copied to a device", available, count);
  return 0;
}

/* ---------------------------------------------------------------- accounting */

static long requests, fail_at = -1, fail_count = 1; /* of this process; under the lock */

/* Whether this request is one of those that are to be refused. */
static int injected(const struct stage *stage) {
  if (fail_at < 0) fail_at = (long)stage->fail_request;
  requests++;
  return fail_at > 0 && requests >= fail_at && requests < fail_at + fail_count;
}
/* The same of pinned memory, which takes nothing of a device. */
int memory_injected(void) {
  imaginary_lock();
  int refused = injected(imaginary_stage());
  imaginary_unlock();
  return refused;
}
EXPORT long imaginary_requests(void) { return requests; }
/* From the k-th request from now on, so many in a row are refused; k = 0: none is. torch gives its cache back and asks
 * once more before it says that memory ran out, so one alone is never seen. */
EXPORT void imaginary_fail_requests(long k, long count) {
  imaginary_lock();
  fail_at = k > 0 ? requests + k : 0;
  fail_count = count;
  imaginary_unlock();
}
EXPORT void imaginary_fail_request(long k) { imaginary_fail_requests(k, 1); }

int memory_take(int device, size_t bytes) {
  int error = imaginary_context(device); /* says so too where there is no such device */
  if (error) return error;
  int place = imaginary_place(device);
  struct stage *stage = imaginary_stage();
  struct gpu *gpu = &stage->gpu[place];
  imaginary_enter();
  struct usage *usage = &stage_process()->usage[place];
  uint64_t taken = imaginary_taken(place) + bytes;
  usage->requests++;
  if (injected(stage) || taken < bytes || taken + gpu->neighbour > gpu->total) {
    usage->refused++;
    error = cudaErrorMemoryAllocation;
  } else {
    usage->held += bytes;
    if (usage->held > usage->peak) usage->peak = usage->held;
    if (taken > gpu->highest) gpu->highest = taken;
  }
  imaginary_leave();
  return error;
}

void memory_give(int device, size_t bytes) {
  imaginary_enter();
  if (!stage_forked) stage_process()->usage[imaginary_place(device)].held -= bytes;
  imaginary_leave();
}

/* ---------------------------------------------------------------- addresses */

/* First fit, lowest address. Under the lock. */
static struct block *place(int device, size_t size, int counted) {
  struct arena *arena = &arenas[device];
  if (!arena_open(arena)) return NULL;
  struct block **link = &arena->blocks;
  size_t taken = granules(size);
  char *at = arena->start;
  while (*link && (size_t)((*link)->start - at) < taken) {
    at = (*link)->start + (*link)->taken;
    link = &(*link)->next;
  }
  if ((size_t)(arena->end - at) < taken) return NULL;
  struct block *b = malloc(sizeof *b);
  if (!b) return NULL;
  *b = (struct block){at, size, taken, counted, 0, *link};
  return *link = b;
}

/* Takes a block out of its list; NULL where none begins there. Under the lock. */
static struct block *unplace(void *p) {
  int device = memory_device(p);
  if (device < 0) return NULL;
  for (struct block **link = &arenas[device].blocks; *link; link = &(*link)->next) {
    struct block *b = *link;
    if (b->start != p) continue;
    *link = b->next;
    discard(&arenas[device], b->start, b->taken);
    return b;
  }
  return NULL;
}

int memory_reserve(void **out, size_t size) {
  imaginary_lock();
  struct block *b = size < (size_t)1 << 46 ? place(imaginary_current(), size, 0) : NULL;
  if (b) *out = b->start;
  imaginary_unlock();
  return b ? 0 : cudaErrorMemoryAllocation;
}
int memory_unreserve(void *p) {
  imaginary_lock();
  struct block *b = unplace(p);
  imaginary_unlock();
  free(b);
  return b ? 0 : cudaErrorInvalidValue;
}
int memory_range(const void *p, void **base, size_t *size) {
  int device = memory_device(p), error = cudaErrorInvalidValue;
  imaginary_lock();
  for (struct block *b = device < 0 ? NULL : arenas[device].blocks; b; b = b->next)
    if ((char *)p >= b->start && (char *)p < b->start + b->taken) {
      if (base) *base = b->start;
      if (size) *size = b->size;
      error = 0;
    }
  imaginary_unlock();
  return error;
}

/* ---------------------------------------------------------------- the runtime's functions */

cudaError_t memory_allocate(void **out, size_t size, int device, int (*from)(int, size_t)) {
  if (!out) return fail(cudaErrorInvalidValue);
  *out = NULL;
  int error = imaginary_context(device);
  if (error || !size) return fail(error);
  imaginary_lock(); /* accounted and placed as one */
  error = size < (size_t)1 << 62 ? from(device, granules(size)) : cudaErrorMemoryAllocation;
  struct block *b = error ? NULL : place(device, size, 1);
  if (!error && !b) {
    memory_give(device, granules(size));
    error = cudaErrorMemoryAllocation;
  }
  if (b) *out = b->start, b->pooled = from != memory_take;
  imaginary_unlock();
  if (imaginary_trace() > 1) imaginary_say("%zu bytes of device %d -> %p", size, device, *out);
  return fail(error);
}

EXPORT cudaError_t cudaMalloc(void **out, size_t size) {
  return memory_allocate(out, size, imaginary_current(), memory_take);
}

EXPORT cudaError_t cudaFree(void *p) {
  if (!p) return fail(imaginary_context(imaginary_current()));
  if (stage_forked) return fail(cudaErrorInitializationError);
  int device = memory_device(p);
  imaginary_lock();
  struct block *b = unplace(p);
  if (b && b->counted) (b->pooled ? pool_give : memory_give)(device, b->taken);
  imaginary_unlock();
  if (imaginary_trace() > 1) imaginary_say("free %p", p);
  int found = b != NULL;
  free(b);
  return found ? cudaSuccess : fail(cudaErrorInvalidValue);
}

EXPORT cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  int device = imaginary_current(), error = imaginary_context(device);
  *free_bytes = *total = 0;
  if (error) return fail(error);
  int at = imaginary_place(device);
  struct gpu *gpu = &imaginary_stage()->gpu[at];
  imaginary_enter();
  uint64_t gone = imaginary_taken(at) + gpu->neighbour;
  *total = gpu->total;
  *free_bytes = gone < gpu->total ? gpu->total - gone : 0;
  imaginary_leave();
  return cudaSuccess;
}
