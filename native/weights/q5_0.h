// q5_0.h - ggml's 5-bit blocks, written: 32 numbers from -16 to 15 times one half-precision scale.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "weights/blocks.h"
#include "weights/rounding.h"

namespace gemlet {

// `x`: 32 numbers. The scale of least squares, tried with the largest number from 13 to 16.6 steps up or down.
// false: a number is not finite, or too large for the scale.
inline bool quantize_q5_0(const float* x, BlockQ5_0* block) {
  static constexpr float kEnds[] = {-16.6f, -16.2f, -15.8f, -15.4f, -15, -14.5f, -14, -13.3f, 13, 14, 14.6f, 15, 15.4f};
  constexpr float kLeast = -16, kMost = 15;
  const float extreme = extreme_of<BlockQ5_0::kSize>(x);
  if (!(std::fabs(extreme) <= 12 * 65504.0f)) return false;
  block->scale = f32_to_f16(fit_scale<BlockQ5_0::kSize>(x, extreme, kEnds, kLeast, kMost));
  const float scale = f16_to_f32(block->scale), inverse = scale == 0 ? 0 : 1 / scale;
  for (size_t i = 0; i < BlockQ5_0::kSize; ++i) {
    const int stored = static_cast<int>(nearest_step(x[i], inverse, kLeast, kMost)) + 16;
    block->low[i % 16] = static_cast<uint8_t>(block->low[i % 16] | (stored & 15) << (i / 16 * 4));
    block->high[i / 8] = static_cast<uint8_t>(block->high[i / 8] | (stored >> 4) << (i % 8));
  }
  return true;
}

}  // namespace gemlet
