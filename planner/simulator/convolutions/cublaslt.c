/* A stand-in for libcublasLt, of which cuDNN asks whether it has a kernel for a 1x1 convolution, which is a product of
 * matrices. The real one needs a GPU to answer; this one always has a kernel, without a workspace. Nothing runs.
 * Signatures: cublasLt.h, documented. Needs no header but the compiler's own. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

struct result { /* cublasLtMatmulHeuristicResult_t */
  uint64_t algorithm[8];
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};

static uint64_t object[128]; /* whatever is created; nobody reads it */

static int created(void **out) {
  *out = object;
  return 0;
}

PUBLIC size_t cublasLtGetVersion(void) { return STAND_IN_VERSION; }

PUBLIC int cublasLtMatmulAlgoGetHeuristic(void *handle, void *product, void *a, void *b, void *c, void *d,
                                          void *preference, int wanted, struct result *results, int *found) {
  (void)handle, (void)product, (void)a, (void)b, (void)c, (void)d, (void)preference;
  if (wanted < 1) return 7; /* CUBLAS_STATUS_INVALID_VALUE */
  memset(results, 0, sizeof *results);
  results->waves = 1.0f;
  *found = 1;
  return 0;
}

#define CREATES(name) PUBLIC int name(void **out) { return created(out); }
#define SUCCEEDS(name) PUBLIC int name(void) { return 0; }

CREATES(cublasLtCreate)
CREATES(cublasLtMatmulDescCreate)
CREATES(cublasLtMatrixLayoutCreate)
CREATES(cublasLtMatmulPreferenceCreate)
CREATES(cublasLtMatrixTransformDescCreate)
SUCCEEDS(cublasLtDestroy)
SUCCEEDS(cublasLtMatmulDescDestroy)
SUCCEEDS(cublasLtMatrixLayoutDestroy)
SUCCEEDS(cublasLtMatmulPreferenceDestroy)
SUCCEEDS(cublasLtMatrixTransformDescDestroy)
SUCCEEDS(cublasLtMatmulDescSetAttribute)
SUCCEEDS(cublasLtMatrixLayoutSetAttribute)
SUCCEEDS(cublasLtMatmulPreferenceSetAttribute)
SUCCEEDS(cublasLtMatrixTransformDescSetAttribute)
