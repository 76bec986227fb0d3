// q4_0.h - ggml's 4-bit blocks: 32 numbers from -8 to 7 times one half-precision scale.   (chapter 3)
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "weights/f16.h"

namespace gemlet {

// Little-endian, as files hold it.
struct BlockQ4_0 {
  static constexpr size_t kSize = 32;
  static constexpr int kBias = 8;  // of what is stored
  uint16_t scale;                  // f16
  uint8_t halves[kSize / 2];       // below: number i; above: number i + 16
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

// out: 32 numbers.
inline void dequantize_q4_0(const BlockQ4_0& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < BlockQ4_0::kSize / 2; ++i) {
    out[i] = scale * static_cast<float>((block.halves[i] & 15) - BlockQ4_0::kBias);
    out[i + BlockQ4_0::kSize / 2] = scale * static_cast<float>((block.halves[i] >> 4) - BlockQ4_0::kBias);
  }
}

// What 32 numbers become with this scale, nearest first; returns the sum of the squares of what is lost.
inline float round_q4_0(const float* x, uint16_t half, BlockQ4_0* block) {
  const float scale = f16_to_f32(half), inverse = scale == 0 ? 0 : 1 / scale;
  float lost = 0;
  block->scale = half;
  for (size_t i = 0; i < BlockQ4_0::kSize; ++i) {
    const float steps = std::fmin(std::fmax(std::nearbyint(x[i] * inverse), -8.0f), 7.0f);
    const auto stored = static_cast<uint8_t>(static_cast<int>(steps) + BlockQ4_0::kBias);
    uint8_t& byte = block->halves[i % (BlockQ4_0::kSize / 2)];
    byte = i < BlockQ4_0::kSize / 2 ? stored : static_cast<uint8_t>(byte | stored << 4);
    const float error = x[i] - steps * scale;
    lost += error * error;
  }
  return lost;
}

// `x`: 32 numbers. Of the scales that bring the largest to between 5 and 9 steps, up or down, the one that loses least.
// false: a number is not finite, or too large for the scale.
inline bool quantize_q4_0(const float* x, BlockQ4_0* block) {
  float largest = 0;
  bool finite = true;
  for (size_t i = 0; i < BlockQ4_0::kSize; ++i) {
    finite &= std::isfinite(x[i]);
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  }
  if (!finite || std::fabs(largest) > 5 * 65504.0f) return false;
  float least = INFINITY;
  for (int tenths = 50; tenths <= 90; tenths += 2) {
    for (const float sign : {-1.0f, 1.0f}) {
      BlockQ4_0 candidate;
      const float lost = round_q4_0(x, f32_to_f16(sign * largest * 10 / static_cast<float>(tenths)), &candidate);
      if (lost < least) {
        least = lost;
        *block = candidate;
      }
    }
  }
  return true;
}

}  // namespace gemlet
