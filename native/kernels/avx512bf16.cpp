// avx512bf16.cpp - AVX-512, the dot products of bytes and of bf16: Zen 4 (2022), Sapphire Rapids (2023).
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512bf16 {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

#include "kernels/avx512.inl"

GEMLET_TABLE("avx512bf16", 60, supported);

}  // namespace gemlet::avx512bf16
