// avx512bf16.cpp - AVX-512 and the dot products of bytes and of bf16: Zen 4 (2022), Sapphire Rapids (2023).   (chapter
// 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512bf16 {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

constexpr int32_t kWeightBias = 128;
static __m512i dot_bytes(__m512i acc, __m512i w, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
  return acc;
}

static __m256i round_to_bf16(__m512 v) {
  const __mmask16 small = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(kSmallestBF16), _CMP_LT_OQ);
  return (__m256i)_mm512_maskz_cvtneps_pbh(static_cast<__mmask16>(~small), v);
}
static __m512 dot_pairs(__m512 acc, __m512i w, __m512i x) { return _mm512_dpbf16_ps(acc, (__m512bh)w, (__m512bh)x); }

#include "kernels/avx512.inl"

GEMLET_TABLE("avx512bf16", 60, supported);

}  // namespace gemlet::avx512bf16
