// q5_k.h - ggml's 5-bit super-blocks, written: 8 parts of 32 numbers from 0 to 31, each with a scale and an offset of
// 6 bits, times two half-precision scales.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "weights/blocks.h"
#include "weights/rounding.h"

namespace gemlet {

inline constexpr size_t kPart5 = 32, kParts5 = BlockQ5_K::kSize / kPart5;
inline constexpr float kMost5 = 31, kMost6Bits = 63;

// What steps mean: scale * steps - offset. Neither is negative.
struct Line {
  float scale = 0, offset = 0;

  float steps(float x) const { return nearest_step(x + offset, scale == 0 ? 0 : 1 / scale, 0, kMost5); }
};

// What is lost, as a sum of squares, when 32 numbers become steps of a line.
inline float loss_of(const float* x, const Line& line) {
  Lanes lost;
  for (size_t i = 0; i < kPart5; i += Lanes::kCount) {
    for (size_t l = 0; l < Lanes::kCount; ++l) {
      const float error = x[i + l] - (line.scale * line.steps(x[i + l]) - line.offset);
      lost.value[l] += error * error;
    }
  }
  return lost.sum();
}

// The line of least squares through what 32 numbers are in steps of `line`; `line` itself where there is none.
inline Line refit(const float* x, const Line& line) {
  Lanes numbers, steps, products, squares;
  for (size_t i = 0; i < kPart5; i += Lanes::kCount) {
    for (size_t l = 0; l < Lanes::kCount; ++l) {
      const float step = line.steps(x[i + l]);
      numbers.value[l] += x[i + l];
      steps.value[l] += step;
      products.value[l] += x[i + l] * step;
      squares.value[l] += step * step;
    }
  }
  const float mean = steps.sum() / kPart5;
  const float spread = squares.sum() - mean * steps.sum(), common = products.sum() - mean * numbers.sum();
  if (!(spread > 0 && common > 0)) return line;
  const float scale = common / spread, offset = scale * mean - numbers.sum() / kPart5;
  if (offset >= 0) return {scale, offset};
  return {products.sum() > 0 ? products.sum() / squares.sum() : line.scale, 0};
}

// The line that loses least of 32 numbers: several spans of theirs are tried, as cutting the ends off may gain more
// than it loses, and each is fitted twice.
inline Line fit_line(const float* x) {
  static constexpr float kSpans[] = {0.78f, 0.82f, 0.86f, 0.9f, 0.94f, 0.98f, 1.02f};
  float least = 0, most = x[0];
  for (size_t i = 0; i < kPart5; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  Line best;
  float lost = INFINITY;
  for (const float span : kSpans) {
    const float scale = (most - least) * span / kMost5;
    Line line{scale, std::fmax(0.0f, scale * kMost5 / 2 - (most + least) / 2)};
    line = refit(x, refit(x, line));
    const float loss = loss_of(x, line);
    if (loss < lost) {
      lost = loss;
      best = line;
    }
  }
  return best;
}

// Whole parts of `scales`, of the nine pairs around a line the one that loses least.
inline Line fit_parts(const float* x, const Line& scales, const Line& wanted) {
  const float scale = scales.scale == 0 ? 0 : std::nearbyint(wanted.scale / scales.scale);
  const float offset = scales.offset == 0 ? 0 : std::nearbyint(wanted.offset / scales.offset);
  Line best;
  float lost = INFINITY;
  for (int pair = 0; pair < 9; ++pair) {
    const Line parts{std::fmin(std::fmax(scale + static_cast<float>(pair / 3 - 1), 0.0f), kMost6Bits),
                     std::fmin(std::fmax(offset + static_cast<float>(pair % 3 - 1), 0.0f), kMost6Bits)};
    const float loss = loss_of(x, {scales.scale * parts.scale, scales.offset * parts.offset});
    if (loss < lost) {
      lost = loss;
      best = parts;
    }
  }
  return best;
}

// `x`: 256 numbers. Each 32 of them get the line that loses least; the largest scale and the largest offset become 63,
// and the others whole parts of them. `block` holds zeros. false: a number is not finite, or too large for the scales.
inline bool quantize_q5_k(const float* x, BlockQ5_K* block) {
  if (!(std::fabs(extreme_of<BlockQ5_K::kSize>(x)) <= kMost5 * kMost6Bits * 65504)) return false;
  Line wanted[kParts5], largest;
  for (size_t p = 0; p < kParts5; ++p) {
    wanted[p] = fit_line(x + p * kPart5);
    largest.scale = std::fmax(largest.scale, wanted[p].scale);
    largest.offset = std::fmax(largest.offset, wanted[p].offset);
  }
  if (!(largest.scale <= kMost6Bits * 65504 && largest.offset <= kMost6Bits * 65504)) return false;
  block->scale = f32_to_f16(largest.scale / kMost6Bits);
  block->offset = f32_to_f16(largest.offset / kMost6Bits);
  const Line scales{f16_to_f32(block->scale), f16_to_f32(block->offset)};
  for (size_t p = 0; p < kParts5; ++p) {
    const float* part = x + p * kPart5;
    const Line parts = fit_parts(part, scales, wanted[p]);
    block->parts.put(p, static_cast<unsigned>(parts.scale), static_cast<unsigned>(parts.offset));
    const Line line{scales.scale * parts.scale, scales.offset * parts.offset};
    for (size_t i = 0; i < kPart5; ++i) block->put(p * kPart5 + i, static_cast<unsigned>(line.steps(part[i])));
  }
  return true;
}

}  // namespace gemlet
