/* libcublasLt: one algorithm, no workspace of its own. (torch gives cublasLt a workspace of a size that it chose
 * beforehand, whatever the algorithm asks, so the answer here does not change what torch allocates.)
 * The types are spelt out because cublasLt.h needs headers that the wheels lack. */
#include "stage.h"
#include <stdlib.h>
#include <string.h>

struct result { /* cublasLtMatmulHeuristicResult_t */
  uint64_t algo[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};
enum { SUCCESS = 0, INVALID_VALUE = 7 };

static int object(void **out) { return *out = calloc(1, 1024), SUCCESS; }
static int gone(void *p) { return free(p), SUCCESS; }

EXPORT size_t cublasLtGetVersion(void) { return IMAGINARY_CUBLAS_VERSION; }
EXPORT size_t cublasLtGetCudartVersion(void) { return IMAGINARY_CUDA_VERSION; }
EXPORT const char *cublasLtGetStatusName(int status) { return status ? "CUBLAS_STATUS_ERROR" : "CUBLAS_STATUS_SUCCESS"; }
EXPORT const char *cublasLtGetStatusString(int status) { return status ? "error" : "success"; }
EXPORT int cublasLtCreate(void **out) { return object(out); }
EXPORT int cublasLtDestroy(void *p) { return gone(p); }
EXPORT int cublasLtMatmulDescCreate(void **out) { return object(out); }
EXPORT int cublasLtMatmulDescDestroy(void *p) { return gone(p); }
EXPORT int cublasLtMatrixLayoutCreate(void **out) { return object(out); }
EXPORT int cublasLtMatrixLayoutDestroy(void *p) { return gone(p); }
EXPORT int cublasLtMatmulPreferenceCreate(void **out) { return object(out); }
EXPORT int cublasLtMatmulPreferenceDestroy(void *p) { return gone(p); }
EXPORT int cublasLtMatrixTransformDescCreate(void **out) { return object(out); }
EXPORT int cublasLtMatrixTransformDescDestroy(void *p) { return gone(p); }

EXPORT int cublasLtMatmulAlgoGetHeuristic(void *handle, void *op, void *a, void *b, void *c, void *d, void *preference,
                                          int asked, struct result *results, int *returned) {
  (void)handle, (void)op, (void)a, (void)b, (void)c, (void)d, (void)preference;
  if (asked < 1) return INVALID_VALUE;
  memset(results, 0, sizeof *results);
  results->waves = 1.0f;
  *returned = 1;
  return SUCCESS;
}
