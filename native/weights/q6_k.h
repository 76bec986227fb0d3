// q6_k.h - ggml's 6-bit super-blocks: 256 numbers from -32 to 31, an int8 scale for each 16, one half-precision scale.
//
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "weights/blocks.h"
#include "weights/rounding.h"

namespace gemlet {

// Little-endian, as files hold it.   Source: ggml, ggml-common.h
struct BlockQ6_K {
  static constexpr size_t kSize = 256, kPart = 16, kParts = kSize / kPart;
  static constexpr int kBias = 32;  // of what is stored
  uint8_t low[128];                 // of each 128 numbers the lower four bits: 64 below, 64 above
  uint8_t high[64];                 // and the upper two
  int8_t scales[kParts];
  uint16_t scale;  // f16

  float at(size_t i) const {
    const int steps = field(low[i / 128 * 64 + i % 64], 4, i % 128 / 64) + 16 * two_bits(high, i) - kBias;
    return f16_to_f32(scale) * static_cast<float>(scales[i / kPart] * steps);
  }
  void put(size_t i, int steps) {
    const auto stored = static_cast<unsigned>(steps + kBias);
    low[i / 128 * 64 + i % 64] |= static_cast<uint8_t>((stored & 15) << (i % 128 / 64 * 4));
    high[i / 128 * 32 + i % 32] |= static_cast<uint8_t>(stored >> 4 << (i % 128 / 32 * 2));
  }
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 2);

inline constexpr float kLeast6 = -32, kMost6 = 31;

// Of the three whole scales around `wanted` the one that loses least.
inline int8_t fit_part(const float* x, float scale, float wanted) {
  const float middle = scale == 0 ? 0 : std::fmin(std::fmax(std::nearbyint(wanted / scale), -127.0f), 126.0f);
  float best = middle, least = INFINITY;
  for (const float part : {middle, middle - 1, middle + 1}) {
    const float lost = loss_of<BlockQ6_K::kPart>(x, scale * part, kLeast6, kMost6);
    if (lost < least) {
      least = lost;
      best = part;
    }
  }
  return static_cast<int8_t>(best);
}

// `x`: 256 numbers. Each 16 of them get the scale of least squares; the largest scale becomes -127, and the others
// whole parts of it. `block` holds zeros. false: a number is not finite, or too large for the scale.
inline bool quantize_q6_k(const float* x, BlockQ6_K* block) {
  static constexpr float kEnds[] = {-33, -32, -31, -30, 30, 31, 32};
  float wanted[BlockQ6_K::kParts], largest = 0;
  for (size_t p = 0; p < BlockQ6_K::kParts; ++p) {
    const float extreme = extreme_of<BlockQ6_K::kPart>(x + p * BlockQ6_K::kPart);
    if (!(std::fabs(extreme) <= 30 * 127 * 65504.0f)) return false;
    wanted[p] = fit_scale<BlockQ6_K::kPart>(x + p * BlockQ6_K::kPart, extreme, kEnds, kLeast6, kMost6);
    if (std::fabs(wanted[p]) > std::fabs(largest)) largest = wanted[p];
  }
  block->scale = f32_to_f16(largest / -127);
  const float scale = f16_to_f32(block->scale);
  for (size_t p = 0; p < BlockQ6_K::kParts; ++p) {
    const float* part = x + p * BlockQ6_K::kPart;
    block->scales[p] = fit_part(part, scale, wanted[p]);
    const float own = scale * static_cast<float>(block->scales[p]), inverse = own == 0 ? 0 : 1 / own;
    for (size_t i = 0; i < BlockQ6_K::kPart; ++i) {
      const float steps = nearest_step(part[i], inverse, kLeast6, kMost6);
      block->put(p * BlockQ6_K::kPart + i, static_cast<int>(steps));
    }
  }
  return true;
}

}  // namespace gemlet
