// q8_0.h - ggml's 8-bit blocks: 32 numbers as one half-precision scale and 32 int8.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "weights/f16.h"

namespace gemlet {

// Little-endian, as files hold it.
struct BlockQ8_0 {
  static constexpr size_t kSize = 32;
  uint16_t scale;  // f16
  int8_t values[kSize];
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

// `x`: 32 numbers. The largest becomes ±127; the others round to nearest, halves away from zero, against the scale
// before it was rounded to half precision.   Source: ggml, quantize_row_q8_0_ref.
// false: a number is not finite, or too large for the scale (over 127 * 65504).
inline bool quantize_q8_0(const float* x, BlockQ8_0* block) {
  float largest = 0;
  bool finite = true;
  for (size_t i = 0; i < BlockQ8_0::kSize; ++i) {
    const float magnitude = std::fabs(x[i]);
    finite &= std::isfinite(magnitude);
    largest = magnitude > largest ? magnitude : largest;
  }
  const float scale = largest / 127;
  block->scale = f32_to_f16(scale);
  if (!finite || (block->scale & 0x7c00) == 0x7c00) return false;
  const float reciprocal = 1 / scale, inverse = std::isfinite(reciprocal) ? reciprocal : 0;
  for (size_t i = 0; i < BlockQ8_0::kSize; ++i) {
    const float v = x[i] * inverse;
    const float magnitude = std::fabs(v);
    int32_t q = static_cast<int32_t>(magnitude);
    q += magnitude - static_cast<float>(q) >= 0.5f;
    block->values[i] = static_cast<int8_t>(v < 0 ? -q : q);
  }
  return true;
}

// out: 32 numbers.
inline void dequantize_q8_0(const BlockQ8_0& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < BlockQ8_0::kSize; ++i) out[i] = scale * static_cast<float>(block.values[i]);
}

}  // namespace gemlet
