/* The CUDA wheels ship cuda_runtime_api.h but not this file; these are the
 * (empty, for a host C compiler) annotations their headers use. */
#ifndef IMAGINARY_HOST_DEFINES_H
#define IMAGINARY_HOST_DEFINES_H
#define CUDARTAPI
#define CUDARTAPI_CDECL
#define CUDART_CB
#define __host__
#define __device__
#define __global__
#define __shared__
#define __constant__
#define __managed__
#define __cudart_builtin__
#define __device_builtin__
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __align__(n) __attribute__((aligned(n)))
#define __device_builtin_texture_type__
#define __device_builtin_surface_type__
#define __specialization_static
#define __location__(a)
#endif
