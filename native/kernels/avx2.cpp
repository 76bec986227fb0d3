// avx2.cpp - 256-bit vectors with fused multiply-add: Haswell (2013), Zen (2017) and later.   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx2 {

static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

// The instruction multiplies unsigned by signed bytes and adds pairs in 16 bits: |x| * (w with the sign of x), where
// two products of at most 127 * 127 fit.
constexpr int32_t kWeightBias = 0;
static __m256i dot_bytes(__m256i acc, __m256i w, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "kernels/avx2.inl"

// 6 x 2 registers accumulate, 2 hold weights, 1 the broadcast: 15 of 16. The others need more in between.
constexpr size_t kTileVectors = 1, kF32Rows = 6, kBF16Rows = 4, kInt8Rows = 4;

#include "kernels/gemm.inl"
#include "kernels/rows.inl"

GEMLET_TABLE("avx2", 20, supported);

}  // namespace gemlet::avx2
