/* Streams and events: each belongs to a device, and everything is done at once.
 *
 * With event_lag an event answers "not ready" to its first queries, as on a device that is behind, unless its stream or
 * device was waited for meanwhile. (torch's allocator asks at each allocation whether blocks that another stream used
 * have come free.) Graphs are not imagined: capturing
 * would have to be replayed, so it is refused. */
#include "stage.h"
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <time.h>

extern cudaError_t fail(int error);

struct CUstream_st {
  int device, priority;
  int64_t waits; /* how often it was waited for */
};
struct CUevent_st {
  int device;
  struct timespec at;
  int64_t lag;
  const struct CUstream_st *stream; /* that it was recorded in, and both counts then */
  int64_t stream_waits, device_waits;
};
static struct CUstream_st own[STAGE_GPUS]; /* the default stream of each device */
static int64_t waits[STAGE_GPUS];          /* of each device */

/* NULL, cudaStreamLegacy and cudaStreamPerThread are the current device's own. */
static int of(cudaStream_t s) { return (uintptr_t)s < 16 ? imaginary_current() : s->device; }
static struct CUstream_st *object(cudaStream_t s) { return (uintptr_t)s < 16 ? &own[imaginary_current()] : s; }
static void waited(int64_t *count) { __atomic_fetch_add(count, 1, __ATOMIC_RELAXED); }
void device_waited(void) { waited(&waits[imaginary_current()]); }

/* A kernel or an event in a stream of another device is an error (the programming guide's "Stream and Event Behavior"). */
int stream_error(cudaStream_t s) {
  int device = imaginary_current(), error = imaginary_context(device);
  return error ? error : of(s) == device ? 0 : cudaErrorInvalidResourceHandle;
}

EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned int flags, int priority) {
  (void)flags;
  int error = imaginary_context(imaginary_current());
  if (error) return fail(error);
  *out = malloc(sizeof **out);
  if (!*out) return fail(cudaErrorMemoryAllocation);
  **out = (struct CUstream_st){imaginary_current(), priority, 0};
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned int flags) {
  return cudaStreamCreateWithPriority(out, flags, 0);
}
EXPORT cudaError_t cudaStreamCreate(cudaStream_t *out) { return cudaStreamCreateWithPriority(out, 0, 0); }
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t s) {
  return (uintptr_t)s < 16 ? fail(cudaErrorInvalidResourceHandle) : cudaSuccess; /* kept: events know it */
}
EXPORT cudaError_t cudaStreamQuery(cudaStream_t s) { return (void)s, cudaSuccess; }
EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  int error = imaginary_context(imaginary_current());
  if (!error) waited(&object(s)->waits);
  return fail(error);
}
EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned int flags) {
  return (void)s, (void)e, (void)flags, cudaSuccess;
}
EXPORT cudaError_t cudaStreamGetPriority(cudaStream_t s, int *priority) {
  *priority = (uintptr_t)s < 16 ? 0 : s->priority;
  return cudaSuccess;
}

/* ---------------------------------------------------------------- capture */

EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t s, enum cudaStreamCaptureStatus *status) {
  (void)s;
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t s, enum cudaStreamCaptureStatus *status,
                                            unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **deps,
#if CUDART_VERSION >= 13000
                                            const cudaGraphEdgeData **edges,
#endif
                                            size_t *count) {
  (void)s;
  if (status) *status = cudaStreamCaptureStatusNone;
  if (id) *id = 0;
  if (graph) *graph = NULL;
  if (deps) *deps = NULL;
#if CUDART_VERSION >= 13000
  if (edges) *edges = NULL;
#endif
  if (count) *count = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
  static __thread enum cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
  enum cudaStreamCaptureMode before = current;
  current = *mode;
  *mode = before;
  return cudaSuccess;
}
static cudaError_t no_graphs(const char *name) {
  static int said;
  if (!said++) imaginary_say("CUDA graphs cannot be rehearsed: run the program without capturing any");
  return fail((int)imaginary_unknown(name, cudaErrorNotSupported));
}
EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode) {
  return (void)s, (void)mode, no_graphs("cudaStreamBeginCapture");
}
EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph) {
  *graph = NULL;
  return (void)s, no_graphs("cudaStreamEndCapture");
}

EXPORT cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t function, void *data) {
  (void)s;
  function(data);
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamAddCallback(cudaStream_t s, cudaStreamCallback_t function, void *data,
                                         unsigned int flags) {
  (void)flags;
  function(s, cudaSuccess, data);
  return cudaSuccess;
}

/* ---------------------------------------------------------------- events */

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned int flags) {
  (void)flags;
  int error = imaginary_context(imaginary_current());
  if (error) return fail(error);
  *out = calloc(1, sizeof **out);
  if (!*out) return fail(cudaErrorMemoryAllocation);
  (*out)->device = imaginary_current();
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, 0); }
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t e) {
  free(e);
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  if (!e || e->device != of(s)) return fail(cudaErrorInvalidResourceHandle);
  clock_gettime(CLOCK_MONOTONIC, &e->at);
  e->lag = imaginary_stage()->event_lag;
  e->stream = object(s);
  e->stream_waits = e->stream->waits;
  e->device_waits = waits[e->device];
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned int flags) {
  return (void)flags, cudaEventRecord(e, s);
}
EXPORT cudaError_t cudaEventQuery(cudaEvent_t e) {
  if (e->lag <= 0 || e->stream_waits != e->stream->waits || e->device_waits != waits[e->device]) return cudaSuccess;
  e->lag--;
  return fail(cudaErrorNotReady);
}
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  e->lag = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t a, cudaEvent_t b) {
  double passed = (double)(b->at.tv_sec - a->at.tv_sec) * 1e3 + (double)(b->at.tv_nsec - a->at.tv_nsec) / 1e6;
  *milliseconds = passed > 0.001 ? (float)passed : 0.001f; /* the host's time, which says nothing of a GPU's */
  return cudaSuccess;
}
