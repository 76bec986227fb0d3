// avxvnni.cpp - AVX2 and the dot product of bytes: Alder Lake (2021), Zen 5 (2024) and later.   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avxvnni {

static bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avxvnni");
}

// The instruction takes w unsigned.
constexpr int32_t kWeightBias = 128;
static __m256i dot_bytes(__m256i acc, __m256i w, __m256i x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }

#include "kernels/avx2.inl"

constexpr size_t kTileVectors = 1, kF32Rows = 6, kBF16Rows = 4, kInt8Rows = 6;

#include "kernels/gemm.inl"
#include "kernels/rows.inl"

GEMLET_TABLE("avxvnni", 30, supported);

}  // namespace gemlet::avxvnni
