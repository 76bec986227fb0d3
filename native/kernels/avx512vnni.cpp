// avx512vnni.cpp - AVX-512 and the dot product of bytes: Cascade Lake and Ice Lake (2019).   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512vnni {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

// The instruction takes w unsigned.
constexpr int32_t kWeightBias = 128;
static __m512i dot_bytes(__m512i acc, __m512i w, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
  return acc;
}

#include "kernels/avx512.inl"
#include "kernels/bf16_emulated.inl"

GEMLET_TABLE("avx512vnni", 50, supported);

}  // namespace gemlet::avx512vnni
