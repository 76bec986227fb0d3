// avx512.inl - 512-bit vectors, one to 16 lanes.
//
// Included by each ISA file of this width inside its own namespace. What its flags allow decides how bytes and bf16 are
// multiplied.

struct V {
  static constexpr size_t kLanes = 16;
  __m512 v;

  static V zero() { return {_mm512_setzero_ps()}; }
  static V broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static V load(const float* p) { return {_mm512_loadu_ps(p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
};

struct U {
  __m512i v;

  static U load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static U broadcast(const void* p) {
    int32_t unit;
    __builtin_memcpy(&unit, p, sizeof unit);
    return {_mm512_set1_epi32(unit)};
  }
  void store(void* p) const { _mm512_storeu_si512(p, v); }
};
using I = U;

static V add(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
static V sub(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
static V mul(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
static V div(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
static V multiply_add(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static V max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }  // b if either is NaN
static V min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }

static I add(I a, I b) { return {_mm512_add_epi32(a.v, b.v)}; }
static V to_float(I a) { return {_mm512_cvtepi32_ps(a.v)}; }

static V zero_where_below(V x, float bound, V y) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, _mm512_set1_ps(bound), _CMP_NLT_UQ), y.v)};
}

// The larger magnitude; NaN counts as larger than infinity.
static V max_magnitude(V a, V b) {
  const __m512i mask = _mm512_set1_epi32(0x7fffffff);
  return {_mm512_castsi512_ps(_mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a.v), mask),
                                               _mm512_and_si512(_mm512_castps_si512(b.v), mask)))};
}

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
static float largest(V v) { return _mm512_reduce_max_ps(v.v); }
static float highest_magnitude(V v) {
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(_mm512_castps_si512(v.v)))));
}

// Lanes i and i + d of every 2 d become their sum and their difference.
template <size_t d>
static V butterfly(V v) {
  const __m512 swapped = d == 8   ? _mm512_shuffle_f32x4(v.v, v.v, 0x4e)
                         : d == 4 ? _mm512_shuffle_f32x4(v.v, v.v, 0xb1)
                         : d == 2 ? _mm512_permute_ps(v.v, 0x4e)
                                  : _mm512_permute_ps(v.v, 0xb1);
  constexpr uint32_t kMinus = d == 8 ? 0xff00 : d == 4 ? 0xf0f0 : d == 2 ? 0xcccc : 0xaaaa;
  const __m512 signs = _mm512_mask_blend_ps(kMinus, _mm512_set1_ps(1), _mm512_set1_ps(-1));
  return {_mm512_fmadd_ps(v.v, signs, swapped)};
}

static void store_lowest_bytes(V v, uint8_t* out) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(_mm512_castps_si512(v.v)));
}

static float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// 4 products of bytes to a lane.
#ifdef __AVX512VNNI__
// Spelt out because GCC copies an accumulator that goes through the intrinsic.
constexpr bool kUnsignedWeights = true;
static __m512i dot_bytes(__m512i acc, __m512i w, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
  return acc;
}
#else
// As in avx2.cpp; there is no instruction that gives w the sign of x.
constexpr bool kUnsignedWeights = false;
static __m512i dot_bytes(__m512i acc, __m512i biased_w, __m512i x) {
  const __m512i w = _mm512_xor_si512(biased_w, _mm512_set1_epi8(static_cast<char>(kWeightBias)));
  const __m512i signed_w = _mm512_mask_sub_epi8(w, _mm512_movepi8_mask(x), _mm512_setzero_si512(), w);
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(x), signed_w);
  return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

// 2 products of bf16 to a lane, the second of the pair first.
#ifdef __AVX512BF16__
static __m256i round_to_bf16(__m512 v) {
  const __mmask16 small = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(kSmallestBF16), _CMP_LT_OQ);
  return (__m256i)_mm512_maskz_cvtneps_pbh(static_cast<__mmask16>(~small), v);
}
static __m512 dot_pairs(__m512 acc, __m512i w, __m512i x) { return _mm512_dpbf16_ps(acc, (__m512bh)w, (__m512bh)x); }
#else
static __m256i round_to_bf16(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 normal = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(kSmallestBF16), _CMP_GE_OQ);
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i kept = _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(normal, rounded), nan, quiet);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
}
// The products are exact, fused or not.
static __m512 dot_pairs(__m512 acc, __m512i w, __m512i x) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000));
  acc = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(w, upper)),
                        _mm512_castsi512_ps(_mm512_and_si512(x, upper)), acc);
  return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                         acc);
}
#endif

static void store_bf16(V v, uint16_t* out) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), round_to_bf16(v.v)); }
static U pair_bf16(V even, V odd) {
  const __m512i low = _mm512_cvtepu16_epi32(round_to_bf16(even.v)), high = _mm512_cvtepu16_epi32(round_to_bf16(odd.v));
  return {_mm512_or_si512(low, _mm512_slli_epi32(high, 16))};
}

static V dot_f32(V acc, U w, U x) {
  return {_mm512_fmadd_ps(_mm512_castsi512_ps(w.v), _mm512_castsi512_ps(x.v), acc.v)};
}
static V dot_bf16(V acc, U w, U x) { return {dot_pairs(acc.v, w.v, x.v)}; }
static I dot_int8(I acc, U w, U x) { return {dot_bytes(acc.v, w.v, x.v)}; }

// 4 products of a half of a byte, 0 to 15, and a byte; without VNNI added up in 16 bits, two sums to a lane.
#ifdef __AVX512VNNI__
constexpr bool kPairedSums = false;
static I dot_halves(I acc, U w, U x) { return dot_int8(acc, w, x); }
[[maybe_unused]] static I sum_pairs(I acc) { return acc; }
#else
constexpr bool kPairedSums = true;
static I dot_halves(I acc, U w, U x) { return {_mm512_add_epi16(acc.v, _mm512_maddubs_epi16(w.v, x.v))}; }
static I sum_pairs(I acc) { return {_mm512_madd_epi16(acc.v, _mm512_set1_epi16(1))}; }
#endif
static U low_halves(U u) { return {_mm512_and_si512(u.v, _mm512_set1_epi8(15))}; }
static U high_halves(U u) { return {_mm512_and_si512(_mm512_srli_epi16(u.v, 4), _mm512_set1_epi8(15))}; }

static V load_f16(const void* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))}; }

// 12 x 2 registers accumulate, 2 hold weights, the rest broadcasts: 32 in all. int8 ends each group with more work.
constexpr size_t kTileVectors = 2, kF32Rows = 12, kBF16Rows = 12, kInt8Rows = 9, kInt4Rows = 6;

// Of search. Widened to 16 bits, as the query has more than a byte's worth; reading the codes takes longer anyway.
static I dot_codes(I acc, const int8_t* codes, const int16_t* query) {
  const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(wide, _mm512_loadu_si512(query)))};
}
static int32_t sum(I v) { return _mm512_reduce_add_epi32(v.v); }
#include "kernels/popcount.inl"
#include "kernels/scan.inl"
