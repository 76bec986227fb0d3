// avx512.cpp - 512-bit vectors without a dot product of bytes: Skylake-X (2017).
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512 {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

#include "kernels/avx512.inl"

GEMLET_TABLE("avx512", 40, supported);

}  // namespace gemlet::avx512
