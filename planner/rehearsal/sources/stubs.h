/* What building.py generates is made of these: weak, so that what is written by hand stands before it. */
#ifndef IMAGINARY_STUBS_H
#define IMAGINARY_STUBS_H
#include "stage.h"

extern void *imaginary_real_cudnn(const char *name);
typedef long any;
#define WEAK __attribute__((weak, visibility("default")))

/* Notes or forgets something: nothing to do. */
#define QUIET(name) \
  WEAK any name(void) { return 0; }
/* Computes nothing, and need not say so: its memory is the caller's. Counted as one kernel. */
#define PRODUCT(name) \
  WEAK any name(void) { return imaginary_computed(); }
/* Does nothing, and says so. */
#define NAMED(name) \
  WEAK any name(void) { return imaginary_unknown(#name, imaginary_computed()); }
/* May take memory, or states a size: an error, and says so. */
#define REFUSED(name, error) \
  WEAK any name(void) { return imaginary_unknown(#name, error); }
/* The real library's, of a function that takes no handle and numbers in general registers only. */
#define REAL(name)                                                \
  WEAK any name(any a, any b, any c, any d, any e, any f) {       \
    static any (*call)(any, any, any, any, any, any);             \
    if (!call) call = imaginary_real_cudnn(#name);                \
    return call(a, b, c, d, e, f);                                \
  }
/* The driver's (entry_points.c), under the name by which it is looked up; 801 is CUDA_ERROR_NOT_SUPPORTED. */
#define DRIVER(name, plain)                                                                       \
  WEAK any name(any a, any b, any c, any d, any e, any f, any g, any h, any i, any j, any k) {     \
    static any (*call)(any, any, any, any, any, any, any, any, any, any, any);                     \
    if (!call) call = imaginary_driver(plain);                                                    \
    return call ? call(a, b, c, d, e, f, g, h, i, j, k) : imaginary_unknown(#name, 801);            \
  }
#endif
