// portable.cpp - plain C++ for any CPU; what every other ISA is checked against.   (chapter 2)
#include "kernels/kernels.h"

namespace gemlet::portable {

static bool supported() { return true; }

struct V {
  static constexpr size_t kLanes = 16;
  float lane[kLanes];

  static V zero() { return broadcast(0); }
  static V broadcast(float x) {
    V v;
    for (float& l : v.lane) l = x;
    return v;
  }
  static V load(const float* p) {
    V v;
    for (size_t i = 0; i < kLanes; ++i) v.lane[i] = p[i];
    return v;
  }
  static V load(const uint16_t* p) {
    V v;
    for (size_t i = 0; i < kLanes; ++i) {
      const uint32_t bits = uint32_t{p[i]} << 16;
      __builtin_memcpy(&v.lane[i], &bits, sizeof bits);
    }
    return v;
  }
  void store(float* p) const {
    for (size_t i = 0; i < kLanes; ++i) p[i] = lane[i];
  }
};

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
static V max(V a, V b) {
  return each(a, b, [](float x, float y) { return x > y ? x : y; });
}  // b if either is NaN
static V min(V a, V b) {
  return each(a, b, [](float x, float y) { return x < y ? x : y; });
}
static V multiply_add(V a, V b, V c) { return add(mul(a, b), c); }

// 2^n of a whole number n in [-126, 127].
static V power_of_two(V n) {
  V v;
  for (size_t i = 0; i < V::kLanes; ++i) {
    const auto bits = static_cast<uint32_t>(static_cast<int32_t>(n.lane[i]) + 127) << 23;
    __builtin_memcpy(&v.lane[i], &bits, sizeof bits);
  }
  return v;
}

// Folds 16 lanes to 8, 4, 2, 1: the order that the other ISAs follow.
static float sum(V v) {
  for (size_t half = V::kLanes / 2; half; half /= 2)
    for (size_t i = 0; i < half; ++i) v.lane[i] += v.lane[i + half];
  return v.lane[0];
}

static float square_root(float x) { return __builtin_sqrtf(x); }

constexpr size_t kTileRows = 2, kTileVectors = 1;

#include "kernels/gemm.inl"
#include "kernels/rows.inl"

GEMLET_TABLE("portable", 0, supported);

}  // namespace gemlet::portable
