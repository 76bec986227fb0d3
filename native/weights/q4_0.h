// q4_0.h - ggml's 4-bit blocks: 32 numbers from -8 to 7 times one half-precision scale.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "weights/f16.h"
#include "weights/rounding.h"

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

// `x`: 32 numbers. The scale of least squares, tried with the largest number from 6 to 8.6 steps up or down.
// false: a number is not finite, or too large for the scale.
inline bool quantize_q4_0(const float* x, BlockQ4_0* block) {
  static constexpr float kEnds[] = {-8.6f, -8.3f, -8, -7.7f, -7.4f, -7.1f, -6.8f, -6.4f, -6, 6, 6.5f, 6.8f, 7.1f, 7.4f};
  constexpr float kLeast = -8, kMost = 7;
  const float extreme = extreme_of<BlockQ4_0::kSize>(x);
  if (!(std::fabs(extreme) <= 5 * 65504.0f)) return false;
  block->scale = f32_to_f16(fit_scale<BlockQ4_0::kSize>(x, extreme, kEnds, kLeast, kMost));
  const float scale = f16_to_f32(block->scale), inverse = scale == 0 ? 0 : 1 / scale;
  constexpr size_t kHalf = BlockQ4_0::kSize / 2;
  for (size_t i = 0; i < kHalf; ++i) {
    const int below = static_cast<int>(nearest_step(x[i], inverse, kLeast, kMost)) + BlockQ4_0::kBias;
    const int above = static_cast<int>(nearest_step(x[i + kHalf], inverse, kLeast, kMost)) + BlockQ4_0::kBias;
    block->halves[i] = static_cast<uint8_t>(below | above << 4);
  }
  return true;
}

}  // namespace gemlet
