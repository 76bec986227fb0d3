// avx512.cpp - 512-bit vectors: Skylake-X (2017), Zen 4 (2022) and later.   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx512 {

static bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }

struct V {
  static constexpr size_t kLanes = 16;
  __m512 v;

  static V zero() { return {_mm512_setzero_ps()}; }
  static V broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static V load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static V load(const uint16_t* p) {
    const __m512i half = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(half, 16))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
};

static V add(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
static V sub(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
static V mul(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
static V div(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
static V max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }  // b if either is NaN
static V min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }
static V multiply_add(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

static V power_of_two(V n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}

static float sum(V v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// 12 x 2 registers accumulate, 2 hold weights, the rest broadcasts: 32 in all.
constexpr size_t kTileRows = 12, kTileVectors = 2;

#include "kernels/gemm.inl"
#include "kernels/rows.inl"

GEMLET_TABLE("avx512", 40, supported);

}  // namespace gemlet::avx512
