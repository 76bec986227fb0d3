// avx512vnni.cpp - AVX-512 and the dot product of bytes: Cascade Lake and Ice Lake (2019).
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512vnni {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

#include "kernels/avx512.inl"

GEMLET_TABLE("avx512vnni", 50, supported);

}  // namespace gemlet::avx512vnni
