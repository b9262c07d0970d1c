/* The stage: what all processes of a rehearsal share, in one mapped file.
 *
 * planner/rehearsal/layout.py writes the first half of this file and reads the rest; both must say the
 * same, which `size` guards: a library refuses a stage whose size is not its own. Bytes unless it says
 * otherwise. A device is meant by its place on the stage (NVML's order) wherever `place` is said, and by
 * its number among the visible ones (CUDA_VISIBLE_DEVICES) wherever `device` is. */
#ifndef IMAGINARY_STAGE_H
#define IMAGINARY_STAGE_H
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define STAGE_MAGIC 0x53325047
#define STAGE_GPUS 8
#define STAGE_PROCESSES 4096
#define STAGE_UNKNOWN 256
#define GRANULE ((size_t)2 << 20) /* the unit in which a device gives out memory */

struct gpu { /* facts, and the most that was ever taken */
  char name[96];
  char uuid[48];
  int32_t major, minor;
  int32_t multiprocessors, threads, blocks; /* threads and blocks of one multiprocessor */
  int32_t clock_khz, memory_clock_khz, bus_bits;
  uint64_t total, context, neighbour;
  uint64_t shared, shared_optin, l2; /* shared memory of a multiprocessor, and of a block at most */
  uint64_t highest;                  /* of what the stage's processes held at once, contexts included */
};

struct usage { /* of one process on one device */
  uint64_t held, peak; /* what the driver gave out, without the context */
  uint64_t context;    /* 0 until the process has one */
  uint64_t kernels, requests, refused;
};

struct process {
  int32_t pid, ended;
  uint64_t started; /* in clock ticks since boot: a pid alone may be another's by now */
  uint64_t context_peak[STAGE_GPUS];
  struct usage usage[STAGE_GPUS];
};

struct stage {
  uint32_t magic, size;
  int32_t gpus, processes, unknown, trace;
  int64_t event_lag;    /* an event is not ready for its first so many queries */
  int64_t fail_request; /* of each process, the request that is refused; 0: none */
  int64_t zero_scalars; /* every number of up to 8 bytes that leaves a device is 0; 2: and large copies are left out */
  struct gpu gpu[STAGE_GPUS];
  char unknown_names[STAGE_UNKNOWN][64];
  struct process process[STAGE_PROCESSES];
};

/* stage.c */
EXPORT struct stage *imaginary_stage(void);                      /* NULL where there is none: said once */
EXPORT void imaginary_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
EXPORT int imaginary_trace(void);                                /* 0, 1, 2 */
EXPORT long imaginary_unknown(const char *name, long answer);    /* names itself once, is recorded */
EXPORT void imaginary_lock(void);                                /* of this process; may be taken again */
EXPORT void imaginary_unlock(void);
EXPORT void imaginary_enter(void);                               /* of the whole stage, around what is shared */
EXPORT void imaginary_leave(void);
EXPORT uint64_t imaginary_taken(int place);                      /* by live processes, inside enter and leave */
EXPORT int imaginary_alive(struct process *process);             /* likewise */
struct process *stage_process(void);                             /* this one, inside enter and leave */
extern int stage_started; /* this process has asked CUDA for something */
extern int stage_forked;  /* a child of a process that had: CUDA cannot be used here */

/* devices.c */
EXPORT int imaginary_devices(void);             /* visible ones; 0 where there is none */
EXPORT int imaginary_place(int device);         /* on the stage */
EXPORT int imaginary_current(void);             /* the calling thread's device */
EXPORT const struct gpu *imaginary_gpu(void);   /* the calling thread's */
EXPORT int imaginary_context(int device);       /* makes it where it is missing; 0, or CUDA's error */
EXPORT int imaginary_has_context(int device);
EXPORT long imaginary_computed(void);         /* counts a kernel that a library would have launched; 0 */
int device_attribute(int which, int device);
void device_select(int device);
void device_launched(void);
void device_waited(void); /* for all that was done on the calling thread's (streams.c) */

/* memory.c */
int memory_take(int device, size_t bytes); /* asks the driver; 0, or CUDA's error */
int memory_injected(void);                 /* whether a request for pinned memory is one that shall fail */
void memory_give(int device, size_t bytes);
int memory_device(const void *p); /* whose it is; -1 for the host */
size_t memory_data(const void *p, size_t count, int *data); /* how far it is written memory, or a hole, from p on */
void memory_clear(void *p, size_t count);
int memory_host_has(size_t count); /* room for so much that is really written */
int memory_reserve(void **out, size_t size);       /* addresses without memory */
int memory_unreserve(void *p);
int memory_range(const void *p, void **base, size_t *size);
EXPORT void *imaginary_driver(const char *name); /* driver.c */

#endif
