// avx2.inl - 256-bit vectors, two to 16 lanes.
//
// Included by each ISA file of this width inside its own namespace. What its flags allow decides how bytes are
// multiplied.

struct V {
  static constexpr size_t kLanes = 16;
  __m256 lo, hi;

  static V zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static V broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }
};

struct U {
  __m256i lo, hi;

  static U load(const void* p) {
    auto* from = static_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
  }
  static U broadcast(const void* p) {
    int32_t unit;
    __builtin_memcpy(&unit, p, sizeof unit);
    return {_mm256_set1_epi32(unit), _mm256_set1_epi32(unit)};
  }
  void store(void* p) const {
    auto* to = static_cast<__m256i*>(p);
    _mm256_storeu_si256(to, lo);
    _mm256_storeu_si256(to + 1, hi);
  }
};
using I = U;

static V add(V a, V b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static V sub(V a, V b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static V mul(V a, V b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static V div(V a, V b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static V multiply_add(V a, V b, V c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
static V max(V a, V b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }  // b if either is NaN
static V min(V a, V b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }

static V as_float(U u) { return {_mm256_castsi256_ps(u.lo), _mm256_castsi256_ps(u.hi)}; }
static U bits_of(V v) { return {_mm256_castps_si256(v.lo), _mm256_castps_si256(v.hi)}; }
static I add(I a, I b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
static V to_float(I a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }

static V zero_where_below(V x, float bound, V y) {
  const __m256 least = _mm256_set1_ps(bound);
  return {_mm256_and_ps(_mm256_cmp_ps(x.lo, least, _CMP_NLT_UQ), y.lo),
          _mm256_and_ps(_mm256_cmp_ps(x.hi, least, _CMP_NLT_UQ), y.hi)};
}

// The larger magnitude; NaN counts as larger than infinity.
static V max_magnitude(V a, V b) {
  const __m256i mask = _mm256_set1_epi32(0x7fffffff);
  const U p = bits_of(a), q = bits_of(b);
  return as_float(U{_mm256_max_epi32(_mm256_and_si256(p.lo, mask), _mm256_and_si256(q.lo, mask)),
                    _mm256_max_epi32(_mm256_and_si256(p.hi, mask), _mm256_and_si256(q.hi, mask))});
}

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
static float largest(V v) {
  const __m256 eight = _mm256_max_ps(v.lo, v.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
static float highest_magnitude(V v) {
  const U u = bits_of(v);
  const __m256i eight = _mm256_max_epi32(u.lo, u.hi);
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1))));
}

// Lanes i and i + d of every 2 d become their sum and their difference.
template <size_t d>
static __m256 butterfly(__m256 v) {
  const __m256 swapped = d == 4   ? _mm256_permute2f128_ps(v, v, 1)
                         : d == 2 ? _mm256_permute_ps(v, 0x4e)
                                  : _mm256_permute_ps(v, 0xb1);
  constexpr int kSigns = d == 4 ? 0xf0 : d == 2 ? 0xcc : 0xaa;
  return _mm256_blend_ps(_mm256_add_ps(swapped, v), _mm256_sub_ps(swapped, v), kSigns);
}
template <size_t d>
static V butterfly(V v) {
  if constexpr (d == 8) {
    return {_mm256_add_ps(v.lo, v.hi), _mm256_sub_ps(v.lo, v.hi)};
  } else {
    return {butterfly<d>(v.lo), butterfly<d>(v.hi)};
  }
}

static void store_lowest_bytes(V v, uint8_t* out) {
  const __m256i mask = _mm256_set1_epi32(0xff);
  const U u = bits_of(v);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(u.lo, mask), _mm256_and_si256(u.hi, mask));
  const __m256i bytes = _mm256_packus_epi16(words, words);  // 4 bytes each of lanes 0, 8 | 4, 12
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 0, 0, 0);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order)));
}

static float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// bf16 in the upper half of each lane, the lower half is 0.
static __m256i round_to_bf16(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v), upper = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000));
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
  const __m256 normal = _mm256_cmp_ps(magnitude, _mm256_set1_ps(kSmallestBF16), _CMP_GE_OQ);
  const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  const __m256i kept = _mm256_and_si256(_mm256_castps_si256(normal), rounded);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  return _mm256_and_si256(upper, _mm256_blendv_epi8(kept, quiet, _mm256_castps_si256(nan)));
}
static void store_bf16(V v, uint16_t* out) {
  const __m256i lo = _mm256_srli_epi32(round_to_bf16(v.lo), 16), hi = _mm256_srli_epi32(round_to_bf16(v.hi), 16);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), words);
}
static U pair_bf16(V even, V odd) {
  return {_mm256_or_si256(_mm256_srli_epi32(round_to_bf16(even.lo), 16), round_to_bf16(odd.lo)),
          _mm256_or_si256(_mm256_srli_epi32(round_to_bf16(even.hi), 16), round_to_bf16(odd.hi))};
}

static __m256 fused(__m256 acc, __m256i w, __m256i x) {
  return _mm256_fmadd_ps(_mm256_castsi256_ps(w), _mm256_castsi256_ps(x), acc);
}
static V dot_f32(V acc, U w, U x) { return {fused(acc.lo, w.lo, x.lo), fused(acc.hi, w.hi, x.hi)}; }

// The second of a pair first, as the instruction of AVX512-BF16 has it. The products are exact, fused or not.
static __m256 dot_pairs(__m256 acc, __m256i w, __m256i x) {
  const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000));
  acc = fused(acc, _mm256_and_si256(w, upper), _mm256_and_si256(x, upper));
  return fused(acc, _mm256_slli_epi32(w, 16), _mm256_slli_epi32(x, 16));
}
static V dot_bf16(V acc, U w, U x) { return {dot_pairs(acc.lo, w.lo, x.lo), dot_pairs(acc.hi, w.hi, x.hi)}; }

// 4 products of bytes to a lane.
#ifdef __AVXVNNI__
constexpr bool kUnsignedWeights = true;
constexpr size_t kInt8Rows = 6;
static __m256i dot_bytes(__m256i acc, __m256i w, __m256i x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }
#else
// The instruction multiplies unsigned by signed bytes and adds pairs in 16 bits: |x| * (w with the sign of x), where
// two products of at most 127 * 127 fit.
constexpr bool kUnsignedWeights = false;
constexpr size_t kInt8Rows = 4;
static __m256i dot_bytes(__m256i acc, __m256i biased_w, __m256i x) {
  const __m256i w = _mm256_xor_si256(biased_w, _mm256_set1_epi8(static_cast<char>(kWeightBias)));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif
static I dot_int8(I acc, U w, U x) { return {dot_bytes(acc.lo, w.lo, x.lo), dot_bytes(acc.hi, w.hi, x.hi)}; }

// 4 products of a half of a byte, 0 to 15, and a byte; without VNNI added up in 16 bits, two sums to a lane.
#ifdef __AVXVNNI__
constexpr bool kPairedSums = false;
static I dot_halves(I acc, U w, U x) { return dot_int8(acc, w, x); }
[[maybe_unused]] static I sum_pairs(I acc) { return acc; }
#else
constexpr bool kPairedSums = true;
static __m256i dot_halves(__m256i acc, __m256i w, __m256i x) {
  return _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
}
static I dot_halves(I acc, U w, U x) { return {dot_halves(acc.lo, w.lo, x.lo), dot_halves(acc.hi, w.hi, x.hi)}; }
static I sum_pairs(I acc) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(acc.lo, ones), _mm256_madd_epi16(acc.hi, ones)};
}
#endif
static U low_halves(U u) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(u.lo, mask), _mm256_and_si256(u.hi, mask)};
}
static U high_halves(U u) { return low_halves({_mm256_srli_epi16(u.lo, 4), _mm256_srli_epi16(u.hi, 4)}); }

static V load_f16(const void* p) {
  auto* from = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1))};
}

// 6 x 2 registers accumulate, 2 hold weights, 1 the broadcast: 15 of 16. bf16 and bytes without VNNI need more between.
constexpr size_t kTileVectors = 1, kF32Rows = 6, kBF16Rows = 4, kInt4Rows = 3;

// Of search. Widened to 16 bits, as the query has more than a byte's worth; reading the codes takes longer anyway.
static __m256i dot_codes(__m256i acc, const int8_t* codes, const int16_t* query) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m256i of_query = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(wide, of_query));
}
static I dot_codes(I acc, const int8_t* codes, const int16_t* query) {
  return {dot_codes(acc.lo, codes, query), dot_codes(acc.hi, codes + 16, query + 16)};
}
static int32_t sum(I v) {
  const __m256i eight = _mm256_add_epi32(v.lo, v.hi);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
#include "kernels/popcount.inl"
#include "kernels/scan.inl"
