/* The native candidate ABI (C++, host-driven CUDA and HIP): the only header a candidate needs. C, no other include.
 * Destination passing: the candidate writes outputs and returns 0; any other value is a runtime error.
 * Tensors have DLTensor's layout ideas: strides in elements, data aligned to 64 bytes, row-major unless strides say otherwise.
 * Inputs are read-only. axes holds the values of the operator's axes in the definition's order.
 * workspace: kevolve_workspace_bytes(axes) bytes aligned to 4096 if the candidate exports that function, else NULL.
 * OpenMP is the only source of threads. */
#ifndef KEVOLVE_NATIVE_ABI_H
#define KEVOLVE_NATIVE_ABI_H
typedef __INT64_TYPE__ kevolve_int64;
enum kevolve_dtype {
  KEVOLVE_FLOAT64 = 0, KEVOLVE_FLOAT32 = 1, KEVOLVE_FLOAT16 = 2, KEVOLVE_BFLOAT16 = 3, KEVOLVE_FLOAT8_E4M3FN = 4, KEVOLVE_FLOAT8_E5M2 = 5,
  KEVOLVE_FLOAT4_E2M1 = 6, KEVOLVE_INT64 = 7, KEVOLVE_INT32 = 8, KEVOLVE_INT16 = 9, KEVOLVE_INT8 = 10, KEVOLVE_UINT8 = 11, KEVOLVE_BOOL = 12
};
typedef struct kevolve_tensor {
  void* data;
  const kevolve_int64* shape;
  const kevolve_int64* strides;
  int rank;
  int dtype;
} kevolve_tensor;
#ifdef __cplusplus
extern "C" {
#endif
int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64* axes, void* workspace, void* stream);
kevolve_int64 kevolve_workspace_bytes(const kevolve_int64* axes); /* optional */
#ifdef __cplusplus
}
#endif
#endif
