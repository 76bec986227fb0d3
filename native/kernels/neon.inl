// neon.inl - ARM's 128-bit vectors, four to 16 lanes.
//
// Included by each ISA file of this width inside its own namespace. What its flags allow decides how bytes are
// multiplied.

// f applied to each of the four parts of its operands.
template <auto kOperation, typename R, typename... Operands>
__attribute__((always_inline)) inline R each(Operands... x) {
  return {kOperation(x.a...), kOperation(x.b...), kOperation(x.c...), kOperation(x.d...)};
}

struct V {
  static constexpr size_t kLanes = 16;
  float32x4_t a, b, c, d;

  static V broadcast(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {v, v, v, v};
  }
  static V zero() { return broadcast(0); }
  static V load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
  void store(float* p) const {
    vst1q_f32(p, a);
    vst1q_f32(p + 4, b);
    vst1q_f32(p + 8, c);
    vst1q_f32(p + 12, d);
  }
};

struct U {
  uint32x4_t a, b, c, d;

  static uint32x4_t load_part(const uint8_t* p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
  static void store_part(uint8_t* p, uint32x4_t part) { vst1q_u8(p, vreinterpretq_u8_u32(part)); }

  static U load(const void* p) {
    auto* from = static_cast<const uint8_t*>(p);
    return {load_part(from), load_part(from + 16), load_part(from + 32), load_part(from + 48)};
  }
  static U broadcast(const void* p) {
    uint32_t unit;
    __builtin_memcpy(&unit, p, sizeof unit);
    const uint32x4_t u = vdupq_n_u32(unit);
    return {u, u, u, u};
  }
  void store(void* p) const {
    auto* to = static_cast<uint8_t*>(p);
    store_part(to, a);
    store_part(to + 16, b);
    store_part(to + 32, c);
    store_part(to + 48, d);
  }
};
using I = U;

static float32x4_t larger(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
static float32x4_t smaller(float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); }
static float32x4_t fused(float32x4_t x, float32x4_t y, float32x4_t z) { return vfmaq_f32(z, x, y); }

static V add(V a, V b) { return each<vaddq_f32, V>(a, b); }
static V sub(V a, V b) { return each<vsubq_f32, V>(a, b); }
static V mul(V a, V b) { return each<vmulq_f32, V>(a, b); }
static V div(V a, V b) { return each<vdivq_f32, V>(a, b); }
static V multiply_add(V a, V b, V c) { return each<fused, V>(a, b, c); }
static V max(V a, V b) { return each<larger, V>(a, b); }  // b if either is NaN
static V min(V a, V b) { return each<smaller, V>(a, b); }

static float32x4_t as_float(uint32x4_t u) { return vreinterpretq_f32_u32(u); }
static uint32x4_t bits_of(float32x4_t v) { return vreinterpretq_u32_f32(v); }
static uint32x4_t from_signed(int32x4_t i) { return vreinterpretq_u32_s32(i); }
static int32x4_t to_signed(uint32x4_t u) { return vreinterpretq_s32_u32(u); }

static float32x4_t converted(uint32x4_t i) { return vcvtq_f32_s32(to_signed(i)); }
static I add(I a, I b) { return each<vaddq_u32, I>(a, b); }
static V to_float(I a) { return each<converted, V>(a); }

static float32x4_t kept_from(float32x4_t x, float32x4_t bound, float32x4_t y) {
  return as_float(vbicq_u32(bits_of(y), vcltq_f32(x, bound)));
}
static V zero_where_below(V x, float bound, V y) { return each<kept_from, V>(x, V::broadcast(bound), y); }

// The larger magnitude; NaN counts as larger than infinity.
static float32x4_t larger_magnitude(float32x4_t x, float32x4_t y) {
  return as_float(vmaxq_u32(bits_of(vabsq_f32(x)), bits_of(vabsq_f32(y))));
}
static V max_magnitude(V a, V b) { return each<larger_magnitude, V>(a, b); }

static float32x4_t power_of_two(float32x4_t n) {
  return as_float(vshlq_n_u32(from_signed(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127))), 23));
}
static V power_of_two(V n) { return each<static_cast<float32x4_t (*)(float32x4_t)>(power_of_two), V>(n); }

// Folds 16 lanes to 8, 4, 2, 1.
template <auto kOperation>
static float fold(V v) {
  const float32x4_t four = kOperation(kOperation(v.a, v.c), kOperation(v.b, v.d));
  const float32x4_t two = kOperation(four, vextq_f32(four, four, 2));
  return vgetq_lane_f32(kOperation(two, vextq_f32(two, two, 1)), 0);
}
static float sum(V v) { return fold<vaddq_f32>(v); }
static float largest(V v) { return fold<larger>(v); }
static float highest_magnitude(V v) { return fold<larger_magnitude>(v); }

// Lanes i and i + d of every 2 d become their sum and their difference.
template <size_t d>
static float32x4_t butterfly(float32x4_t v) {
  static_assert(d == 2 || d == 1);
  constexpr uint32_t kMinus = 0x80000000;
  const uint32x4_t signs = d == 2 ? uint32x4_t{0, 0, kMinus, kMinus} : uint32x4_t{0, kMinus, 0, kMinus};
  const float32x4_t swapped = d == 2 ? vextq_f32(v, v, 2) : vrev64q_f32(v);
  return vaddq_f32(swapped, as_float(veorq_u32(bits_of(v), signs)));
}
template <size_t d>
static V butterfly(V v) {
  if constexpr (d == 8) {
    return {vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d), vsubq_f32(v.a, v.c), vsubq_f32(v.b, v.d)};
  } else if constexpr (d == 4) {
    return {vaddq_f32(v.a, v.b), vsubq_f32(v.a, v.b), vaddq_f32(v.c, v.d), vsubq_f32(v.c, v.d)};
  } else {
    return {butterfly<d>(v.a), butterfly<d>(v.b), butterfly<d>(v.c), butterfly<d>(v.d)};
  }
}

static uint8x16_t lower_halves(float32x4_t x, float32x4_t y) {
  return vreinterpretq_u8_u16(vuzp1q_u16(vreinterpretq_u16_f32(x), vreinterpretq_u16_f32(y)));
}
static void store_lowest_bytes(V v, uint8_t* out) {
  vst1q_u8(out, vuzp1q_u8(lower_halves(v.a, v.b), lower_halves(v.c, v.d)));
}

static float square_root(float x) { return __builtin_sqrtf(x); }

// bf16 in the upper half of each lane; the lower half means nothing.
static uint32x4_t round_to_bf16(float32x4_t v) {
  const uint32x4_t bits = bits_of(v), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
  const uint32x4_t kept = vandq_u32(rounded, vcgeq_f32(vabsq_f32(v), vdupq_n_f32(kSmallestBF16)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vbslq_u32(vceqq_f32(v, v), kept, quiet);
}
static uint16x8_t bf16_of(float32x4_t x, float32x4_t y) {
  return vcombine_u16(vshrn_n_u32(round_to_bf16(x), 16), vshrn_n_u32(round_to_bf16(y), 16));
}
static void store_bf16(V v, uint16_t* out) {
  vst1q_u16(out, bf16_of(v.a, v.b));
  vst1q_u16(out + 8, bf16_of(v.c, v.d));
}
static uint32x4_t paired(float32x4_t even, float32x4_t odd) {
  return vsriq_n_u32(round_to_bf16(odd), round_to_bf16(even), 16);
}
static U pair_bf16(V even, V odd) { return each<paired, U>(even, odd); }

static float32x4_t dot_bits(float32x4_t acc, uint32x4_t w, uint32x4_t x) {
  return vfmaq_f32(acc, as_float(w), as_float(x));
}
static V dot_f32(V acc, U w, U x) { return each<dot_bits, V>(acc, w, x); }

// The second of a pair first, as x86's instruction has it. The products are exact, fused or not.
static float32x4_t dot_pairs(float32x4_t acc, uint32x4_t w, uint32x4_t x) {
  const uint32x4_t upper = vdupq_n_u32(0xffff0000);
  acc = dot_bits(acc, vandq_u32(w, upper), vandq_u32(x, upper));
  return dot_bits(acc, vshlq_n_u32(w, 16), vshlq_n_u32(x, 16));
}
static V dot_bf16(V acc, U w, U x) { return each<dot_pairs, V>(acc, w, x); }

// 4 products of signed bytes to a lane.
#ifdef __ARM_FEATURE_DOTPROD
constexpr size_t kInt8Rows = 6;
static uint32x4_t dot_signed(uint32x4_t acc, uint32x4_t w, uint32x4_t x) {
  return from_signed(vdotq_s32(to_signed(acc), vreinterpretq_s8_u32(w), vreinterpretq_s8_u32(x)));
}
#else
// Pairs are added in 16 bits, where two products of at most 128 * 127 fit.
constexpr size_t kInt8Rows = 4;
static uint32x4_t dot_signed(uint32x4_t acc, uint32x4_t w_bits, uint32x4_t x_bits) {
  const int8x16_t w = vreinterpretq_s8_u32(w_bits), x = vreinterpretq_s8_u32(x_bits);
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
  return from_signed(vpadalq_s16(to_signed(acc), vpaddq_s16(low, high)));
}
#endif

#ifdef __ARM_FEATURE_MATMUL_INT8
constexpr bool kUnsignedWeights = true;
static uint32x4_t dot_bytes(uint32x4_t acc, uint32x4_t w, uint32x4_t x) {
  return from_signed(vusdotq_s32(to_signed(acc), vreinterpretq_u8_u32(w), vreinterpretq_s8_u32(x)));
}
#else
constexpr bool kUnsignedWeights = false;
static uint32x4_t dot_bytes(uint32x4_t acc, uint32x4_t biased_w, uint32x4_t x) {
  return dot_signed(acc, veorq_u32(biased_w, vdupq_n_u32(kWeightBias * 0x01010101u)), x);
}
#endif
static I dot_int8(I acc, U w, U x) { return each<dot_bytes, I>(acc, w, x); }

// The halves of bytes, and their product: w is 0 to 15, x signed.
constexpr size_t kInt4Rows = 3;
static uint32x4_t low_half(uint32x4_t u) { return vandq_u32(u, vdupq_n_u32(0x0f0f0f0f)); }
static uint32x4_t high_half(uint32x4_t u) { return vreinterpretq_u32_u8(vshrq_n_u8(vreinterpretq_u8_u32(u), 4)); }
static U low_halves(U u) { return each<low_half, U>(u); }
static U high_halves(U u) { return each<high_half, U>(u); }
static I dot_halves(I acc, U w, U x) { return each<dot_signed, I>(acc, w, x); }
constexpr bool kPairedSums = false;
[[maybe_unused]] static I sum_pairs(I acc) { return acc; }

// 16 numbers in half precision.
static float32x4_t widened(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static V load_f16(const void* p) {
  auto* from = static_cast<const uint16_t*>(p);
  return {widened(from), widened(from + 4), widened(from + 8), widened(from + 12)};
}

// 6 x 4 registers accumulate, 4 hold weights, 1 the broadcast: 29 of 32. bf16 and bytes without dotprod need more
// between.
constexpr size_t kTileVectors = 1, kF32Rows = 6, kBF16Rows = 4;

// Of search. Widened to 16 bits, as the query has more than a byte's worth; reading the codes takes longer anyway.
static void dot_words(uint32x4_t& low, uint32x4_t& high, int16x8_t codes, const int16_t* query) {
  const int16x8_t of_query = vld1q_s16(query);
  low = from_signed(vmlal_s16(to_signed(low), vget_low_s16(codes), vget_low_s16(of_query)));
  high = from_signed(vmlal_high_s16(to_signed(high), codes, of_query));
}
static I dot_codes(I acc, const int8_t* codes, const int16_t* query) {
  const int8x16_t first = vld1q_s8(codes), second = vld1q_s8(codes + 16);
  dot_words(acc.a, acc.b, vmovl_s8(vget_low_s8(first)), query);
  dot_words(acc.c, acc.d, vmovl_high_s8(first), query + 8);
  dot_words(acc.a, acc.b, vmovl_s8(vget_low_s8(second)), query + 16);
  dot_words(acc.c, acc.d, vmovl_high_s8(second), query + 24);
  return acc;
}
static int32_t sum(I v) { return vaddvq_s32(to_signed(vaddq_u32(vaddq_u32(v.a, v.c), vaddq_u32(v.b, v.d)))); }
struct Count {
  static constexpr size_t kBytes = 16;
  uint16x8_t bits = vdupq_n_u16(0);

  void add(const uint8_t* a, const uint8_t* b) {
    bits = vpadalq_u8(bits, vcntq_u8(veorq_u8(vld1q_u8(a), vld1q_u8(b))));
  }
  int32_t total() const { return static_cast<int32_t>(vaddlvq_u16(bits)); }
};

#include "kernels/scan.inl"
