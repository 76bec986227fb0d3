// avx512.cpp - 512-bit vectors without a dot product of bytes: Skylake-X (2017).   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512 {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

// As in avx2.cpp; there is no instruction that gives w the sign of x.
constexpr int32_t kWeightBias = 0;
static __m512i dot_bytes(__m512i acc, __m512i w, __m512i x) {
  const __m512i signed_w = _mm512_mask_sub_epi8(w, _mm512_movepi8_mask(x), _mm512_setzero_si512(), w);
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(x), signed_w);
  return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "kernels/avx512.inl"
#include "kernels/bf16_emulated.inl"

GEMLET_TABLE("avx512", 40, supported);

}  // namespace gemlet::avx512
