// avx2.cpp - 256-bit vectors with fused multiply-add: Haswell (2013), Zen (2017) and later.   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx2 {

static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

struct V {
  static constexpr size_t kLanes = 16;
  __m256 lo, hi;

  static V zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static V broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static V load(const uint16_t* p) { return {widen(p), widen(p + 8)}; }
  void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }

 private:
  static __m256 widen(const uint16_t* p) {
    const __m256i half = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(half, 16));
  }
};

static V add(V a, V b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static V sub(V a, V b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static V mul(V a, V b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static V div(V a, V b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static V max(V a, V b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }  // b if either is NaN
static V min(V a, V b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
static V multiply_add(V a, V b, V c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }

static __m256 power_of_two(__m256 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
static V power_of_two(V n) { return {power_of_two(n.lo), power_of_two(n.hi)}; }

static float sum(V v) {
  const __m256 eight = _mm256_add_ps(v.lo, v.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// 6 x 2 registers accumulate, 2 hold weights, 1 the broadcast: 15 of 16.
constexpr size_t kTileRows = 6, kTileVectors = 1;

#include "kernels/gemm.inl"
#include "kernels/rows.inl"

GEMLET_TABLE("avx2", 20, supported);

}  // namespace gemlet::avx2
