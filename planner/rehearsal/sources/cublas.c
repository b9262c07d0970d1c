/* libcublas: handles and modes are kept, nothing is computed. What else is asked for is generated: products do nothing
 * and say nothing, for torch gives them their workspaces itself; a question is answered "not supported", and named. */
#include "stage.h"
#include <stdlib.h>

struct handle {
  int math, pointer;
  void *stream;
};

EXPORT int cublasCreate_v2(struct handle **out) {
  int error = imaginary_context(imaginary_current());
  *out = error ? NULL : calloc(1, sizeof **out);
  return error ? 3 /* CUBLAS_STATUS_ALLOC_FAILED */ : 0;
}
EXPORT int cublasDestroy_v2(struct handle *h) { return free(h), 0; }
EXPORT int cublasSetStream_v2(struct handle *h, void *stream) { return h->stream = stream, 0; }
EXPORT int cublasGetStream_v2(struct handle *h, void **stream) { return *stream = h->stream, 0; }
EXPORT int cublasSetWorkspace_v2(struct handle *h, void *workspace, size_t size) {
  return (void)h, (void)workspace, (void)size, 0;
}
EXPORT int cublasGetMathMode(struct handle *h, int *mode) { return *mode = h->math, 0; }
EXPORT int cublasSetMathMode(struct handle *h, int mode) { return h->math = mode, 0; }
EXPORT int cublasGetPointerMode_v2(struct handle *h, int *mode) { return *mode = h->pointer, 0; }
EXPORT int cublasSetPointerMode_v2(struct handle *h, int mode) { return h->pointer = mode, 0; }
EXPORT int cublasGetVersion_v2(struct handle *h, int *version) {
  return (void)h, *version = IMAGINARY_CUBLAS_VERSION, 0;
}
