/* libnvidia-ml: every GPU of the stage, whatever CUDA_VISIBLE_DEVICES says, and who is on it. Public functions only;
 * the structures are those of nvml.h, spelt out because the wheels lack it. */
#define _GNU_SOURCE
#include "stage.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NOT_LOADED = 9 };
/* The neighbour's pid: above any that Linux gives (PID_MAX_LIMIT, 4,194,304), so that it is never somebody's. */
enum { NEIGHBOUR = 4194304 + 1 };

struct process_info {
  unsigned int pid;
  unsigned long long used;
  unsigned int instance, compute_instance;
};
struct old_process_info {
  unsigned int pid;
  unsigned long long used;
};
struct memory {
  unsigned long long total, free, used;
};
struct memory2 {
  unsigned int version;
  unsigned long long total, reserved, free, used;
};

/* A device's handle is the address of its facts. */
static int place(const void *device) { return (int)((const struct gpu *)device - imaginary_stage()->gpu); }

static int text(char *out, unsigned int size, const char *value) {
  if (strlen(value) + 1 > size) return TOO_SMALL;
  strcpy(out, value);
  return OK;
}

static int start(void) { return imaginary_stage() && imaginary_stage()->gpus ? OK : NOT_LOADED; }
EXPORT int nvmlInit(void) { return start(); }
EXPORT int nvmlInit_v2(void) { return start(); }
EXPORT int nvmlInitWithFlags(unsigned int flags) { return (void)flags, start(); }
EXPORT int nvmlShutdown(void) { return OK; }
EXPORT const char *nvmlErrorString(int error) {
  return error == OK              ? "Success"
         : error == NOT_SUPPORTED ? "Not Supported"
         : error == NOT_FOUND     ? "Not Found"
         : error == INVALID       ? "Invalid Argument"
         : error == TOO_SMALL     ? "Insufficient Size"
         : error == NOT_LOADED    ? "Driver Not Loaded"
                                  : "Unknown Error";
}
EXPORT int nvmlDeviceGetCount_v2(unsigned int *count) { return *count = (unsigned)imaginary_stage()->gpus, OK; }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **out) {
  if (index >= (unsigned)imaginary_stage()->gpus) return INVALID;
  *out = &imaginary_stage()->gpu[index];
  return OK;
}
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) {
  for (int i = 0; i < imaginary_stage()->gpus; i++)
    if (!strcmp(imaginary_stage()->gpu[i].uuid, uuid)) return *out = &imaginary_stage()->gpu[i], OK;
  return NOT_FOUND;
}
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **out) {
  unsigned domain, bus;
  if (sscanf(id, "%x:%x:", &domain, &bus) != 2 || bus < 1 || bus > (unsigned)imaginary_stage()->gpus) return NOT_FOUND;
  *out = &imaginary_stage()->gpu[bus - 1];
  return OK;
}
EXPORT int nvmlDeviceGetIndex(void *d, unsigned int *index) { return *index = (unsigned)place(d), OK; }
EXPORT int nvmlDeviceGetName(void *d, char *out, unsigned int size) { return text(out, size, ((struct gpu *)d)->name); }
EXPORT int nvmlDeviceGetUUID(void *d, char *out, unsigned int size) { return text(out, size, ((struct gpu *)d)->uuid); }
EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned int size) {
  return text(out, size, IMAGINARY_CUDA_VERSION >= 13000 ? "580.0.0" : "570.0.0"); /* the branches of CUDA 13, 12.8 */
}
EXPORT int nvmlSystemGetCudaDriverVersion(int *out) { return *out = IMAGINARY_CUDA_VERSION, OK; }
EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *out) { return *out = IMAGINARY_CUDA_VERSION, OK; }
EXPORT int nvmlDeviceGetCudaComputeCapability(void *d, int *major, int *minor) {
  *major = ((struct gpu *)d)->major;
  *minor = ((struct gpu *)d)->minor;
  return OK;
}

static unsigned long long in_use(void *d) {
  imaginary_enter();
  unsigned long long used = imaginary_taken(place(d)) + ((struct gpu *)d)->neighbour;
  imaginary_leave();
  return used;
}
EXPORT int nvmlDeviceGetMemoryInfo(void *d, struct memory *m) {
  m->total = ((struct gpu *)d)->total;
  m->used = in_use(d);
  m->free = m->used < m->total ? m->total - m->used : 0;
  return OK;
}
EXPORT int nvmlDeviceGetMemoryInfo_v2(void *d, struct memory2 *m) {
  struct memory plain;
  nvmlDeviceGetMemoryInfo(d, &plain);
  m->total = plain.total, m->used = plain.used, m->free = plain.free, m->reserved = 0;
  return OK;
}
EXPORT int nvmlDeviceGetDisplayMode(void *d, unsigned int *on) { return (void)d, *on = 0, OK; }
EXPORT int nvmlDeviceGetDisplayActive(void *d, unsigned int *on) { return (void)d, *on = 0, OK; }
EXPORT int nvmlDeviceGetMigMode(void *d, unsigned int *now, unsigned int *pending) {
  return (void)d, (void)now, (void)pending, NOT_SUPPORTED;
}

/* Live processes with a context, and the imaginary neighbour; how many there are, though only `room` are written. */
static unsigned int list(void *d, unsigned int room, struct process_info *out) {
  struct stage *stage = imaginary_stage();
  unsigned int count = 0;
  int at = place(d);
  unsigned long long neighbour = stage->gpu[at].neighbour;
  if (neighbour && count++ < room)
    out[0] = (struct process_info){(unsigned)(NEIGHBOUR + at), neighbour, 0xffffffffu, 0xffffffffu};
  imaginary_enter();
  for (int i = 0; i < stage->processes; i++) {
    struct usage *usage = &stage->process[i].usage[at];
    if (!usage->context || !imaginary_alive(&stage->process[i])) continue;
    if (count++ < room)
      out[count - 1] = (struct process_info){(unsigned)stage->process[i].pid, usage->held + usage->context, 0xffffffffu,
                                             0xffffffffu};
  }
  imaginary_leave();
  return count;
}
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned int *count, struct process_info *out) {
  unsigned int room = out ? *count : 0;
  *count = list(d, room, out);
  return *count > room ? TOO_SMALL : OK;
}
EXPORT int nvmlDeviceGetComputeRunningProcesses_v2(void *d, unsigned int *count, struct process_info *out) {
  return nvmlDeviceGetComputeRunningProcesses_v3(d, count, out);
}
EXPORT int nvmlDeviceGetComputeRunningProcesses(void *d, unsigned int *count, struct old_process_info *out) {
  unsigned int room = out ? *count : 0;
  struct process_info *found = calloc(room + 1, sizeof *found);
  if (!found) return TOO_SMALL;
  *count = list(d, room, found);
  for (unsigned int i = 0; i < *count && i < room; i++) out[i] = (struct old_process_info){found[i].pid, found[i].used};
  free(found);
  return *count > room ? TOO_SMALL : OK;
}
EXPORT int nvmlDeviceGetGraphicsRunningProcesses_v3(void *d, unsigned int *count, struct process_info *out) {
  return (void)d, (void)out, *count = 0, OK;
}
EXPORT int nvmlDeviceGetNvLinkRemoteDeviceType(void *d, unsigned int link, int *type) {
  return (void)d, (void)link, (void)type, NOT_SUPPORTED;
}
EXPORT int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *d, unsigned int link, void *pci) {
  return (void)d, (void)link, (void)pci, NOT_SUPPORTED;
}
