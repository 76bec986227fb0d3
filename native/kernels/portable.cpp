// portable.cpp - plain C++ for any CPU; what every other ISA is checked against.
#include "kernels/kernels.h"

namespace gemlet::portable {

static bool supported() { return true; }

template <typename T>
struct Lanes {
  static constexpr size_t kLanes = 16;
  T lane[kLanes];

  static Lanes zero() { return {}; }
  static Lanes broadcast(T x) {
    Lanes v;
    for (T& l : v.lane) l = x;
    return v;
  }
  static Lanes broadcast(const void* p) {
    T x;
    __builtin_memcpy(&x, p, sizeof x);
    return broadcast(x);
  }
  static Lanes load(const void* p) {
    Lanes v;
    __builtin_memcpy(v.lane, p, sizeof v.lane);
    return v;
  }
  void store(void* p) const { __builtin_memcpy(p, lane, sizeof lane); }
};
using V = Lanes<float>;
using I = Lanes<int32_t>;
using U = Lanes<uint32_t>;

static float as_float(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
static uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

template <typename F>
static V each(V a, V b, F f) {
  V v;
  for (size_t i = 0; i < V::kLanes; ++i) v.lane[i] = f(a.lane[i], b.lane[i]);
  return v;
}
static V add(V a, V b) {
  return each(a, b, [](float x, float y) { return x + y; });
}
static V sub(V a, V b) {
  return each(a, b, [](float x, float y) { return x - y; });
}
static V mul(V a, V b) {
  return each(a, b, [](float x, float y) { return x * y; });
}
static V div(V a, V b) {
  return each(a, b, [](float x, float y) { return x / y; });
}
static V multiply_add(V a, V b, V c) {
  for (size_t i = 0; i < V::kLanes; ++i) c.lane[i] = __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}
static V max(V a, V b) {
  return each(a, b, [](float x, float y) { return x > y ? x : y; });
}  // b if either is NaN
static V min(V a, V b) {
  return each(a, b, [](float x, float y) { return x < y ? x : y; });
}

static V zero_where_below(V x, float bound, V y) {
  return each(x, y, [bound](float a, float b) { return a < bound ? 0 : b; });
}

// The larger magnitude; NaN counts as larger than infinity.
static V max_magnitude(V a, V b) {
  return each(a, b, [](float x, float y) {
    const uint32_t p = bits_of(x) & 0x7fffffff, q = bits_of(y) & 0x7fffffff;
    return as_float(p > q ? p : q);
  });
}

// 2^n of a whole number n in [-126, 127].
static V power_of_two(V n) {
  V v;
  for (size_t i = 0; i < V::kLanes; ++i)
    v.lane[i] = as_float(static_cast<uint32_t>(static_cast<int32_t>(n.lane[i]) + 127) << 23);
  return v;
}

static I add(I a, I b) {
  for (size_t i = 0; i < I::kLanes; ++i) a.lane[i] += b.lane[i];
  return a;
}
static V to_float(I a) {
  V v;
  for (size_t i = 0; i < V::kLanes; ++i) v.lane[i] = static_cast<float>(a.lane[i]);
  return v;
}

// Folds 16 lanes to 8, 4, 2, 1: the order that the other ISAs follow.
template <typename F>
static float fold(V v, F f) {
  for (size_t half = V::kLanes / 2; half; half /= 2)
    for (size_t i = 0; i < half; ++i) v.lane[i] = f(v.lane[i], v.lane[i + half]);
  return v.lane[0];
}
static float sum(V v) {
  return fold(v, [](float x, float y) { return x + y; });
}
static float largest(V v) {
  return fold(v, [](float x, float y) { return x > y ? x : y; });
}
static float highest_magnitude(V v) {
  return fold(v, [](float x, float y) { return bits_of(x) > bits_of(y) ? x : y; });
}

// Lanes i and i + d of every 2 d become their sum and their difference.
template <size_t d>
static V butterfly(V v) {
  V y;
  for (size_t i = 0; i < V::kLanes; ++i) y.lane[i] = i & d ? v.lane[i ^ d] - v.lane[i] : v.lane[i ^ d] + v.lane[i];
  return y;
}

static void store_lowest_bytes(V v, uint8_t* out) {
  for (size_t i = 0; i < V::kLanes; ++i) out[i] = static_cast<uint8_t>(bits_of(v.lane[i]));
}

static float square_root(float x) { return __builtin_sqrtf(x); }

static uint16_t to_bf16(float x) {
  const uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);  // NaN stays NaN
  if (magnitude < bits_of(kSmallestBF16)) return 0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
static void store_bf16(V v, uint16_t* out) {
  for (size_t i = 0; i < V::kLanes; ++i) out[i] = to_bf16(v.lane[i]);
}
static U pair_bf16(V even, V odd) {
  U pairs;
  for (size_t i = 0; i < V::kLanes; ++i) pairs.lane[i] = to_bf16(even.lane[i]) | uint32_t{to_bf16(odd.lane[i])} << 16;
  return pairs;
}

static V dot_f32(V acc, U w, U x) {
  for (size_t i = 0; i < V::kLanes; ++i) acc.lane[i] += as_float(w.lane[i]) * as_float(x.lane[i]);
  return acc;
}

// The second of a pair first, as the instruction of AVX512-BF16 has it.
static V dot_bf16(V acc, U w, U x) {
  for (size_t i = 0; i < V::kLanes; ++i) {
    acc.lane[i] += as_float(w.lane[i] & 0xffff0000) * as_float(x.lane[i] & 0xffff0000);
    acc.lane[i] += as_float(w.lane[i] << 16) * as_float(x.lane[i] << 16);
  }
  return acc;
}

static I dot_int8(I acc, U w, U x) {
  for (size_t i = 0; i < I::kLanes; ++i)
    for (int shift = 0; shift < 32; shift += 8)
      acc.lane[i] +=
          (static_cast<int32_t>(w.lane[i] >> shift & 0xff) - kWeightBias) * static_cast<int8_t>(x.lane[i] >> shift);
  return acc;
}

static U low_halves(U u) {
  for (uint32_t& l : u.lane) l &= 0x0f0f0f0f;
  return u;
}
static U high_halves(U u) {
  for (uint32_t& l : u.lane) l = l >> 4 & 0x0f0f0f0f;
  return u;
}
constexpr bool kPairedSums = false;
[[maybe_unused]] static I sum_pairs(I acc) { return acc; }
static I dot_halves(I acc, U w, U x) {
  for (size_t i = 0; i < I::kLanes; ++i)
    for (int shift = 0; shift < 32; shift += 8)
      acc.lane[i] += static_cast<int32_t>(w.lane[i] >> shift & 0xff) * static_cast<int8_t>(x.lane[i] >> shift);
  return acc;
}

// Half precision: the exponent moves by 112; 2^112 does that for the subnormal as well.
static V load_f16(const void* p) {
  uint16_t halves[V::kLanes];
  __builtin_memcpy(halves, p, sizeof halves);
  V v;
  for (size_t i = 0; i < V::kLanes; ++i) {
    const uint32_t sign = uint32_t{halves[i]} << 16 & 0x80000000, rest = uint32_t{halves[i]} << 13 & 0x0fffe000;
    const float magnitude = rest >= 0x0f800000 ? as_float(rest | 0x70000000) : as_float(rest) * 0x1p112f;
    v.lane[i] = as_float(sign | bits_of(magnitude));
  }
  return v;
}

constexpr size_t kTileVectors = 1, kF32Rows = 2, kBF16Rows = 2, kInt8Rows = 2, kInt4Rows = 2;
constexpr bool kUnsignedWeights = false;

// Of search.
static I dot_codes(I acc, const int8_t* codes, const int16_t* query) {
  for (size_t i = 0; i < kWidthUnit; ++i) acc.lane[i % I::kLanes] += int32_t{codes[i]} * query[i];
  return acc;
}
static int32_t sum(I v) {
  int32_t total = 0;
  for (const int32_t l : v.lane) total += l;
  return total;
}
#include "kernels/popcount.inl"
#include "kernels/scan.inl"

GEMLET_TABLE("portable", 0, supported);

}  // namespace gemlet::portable
