// rounding.h - numbers → whole steps of one scale, and the scale that loses least.
//
// For the writers of few-bit blocks. Loops of eight lanes, one order of every sum: the same bits at any vector width.
#pragma once
#include <cmath>
#include <cstddef>

namespace gemlet {

// To the nearest whole number, ties to even. |x| < 2^22: above this constant float32 has no fractions.
inline float round_steps(float x) {
  constexpr float kNoFractions = 0x1.8p23f;
  return (x + kNoFractions) - kNoFractions;
}

inline float nearest_step(float x, float inverse, float least, float most) {
  const float steps = x * inverse, above = steps < least ? least : steps;
  return round_steps(above > most ? most : above);
}

struct Lanes {
  static constexpr size_t kCount = 8;
  float value[kCount] = {};
  float sum() const {
    return ((value[0] + value[4]) + (value[2] + value[6])) + ((value[1] + value[5]) + (value[3] + value[7]));
  }
};

// Number of largest magnitude with its sign; NaN or infinite if one of them is.
template <size_t kSize>
float extreme_of(const float* x) {
  float most = x[0], least = x[0], poison = 0;  // 0 * infinity and 0 * NaN are NaN
  for (size_t i = 0; i < kSize; ++i) {
    most = x[i] > most ? x[i] : most;
    least = x[i] < least ? x[i] : least;
    poison += 0 * x[i];
  }
  return (most > -least ? most : least) + poison;
}

// Of the scales that bring `extreme` to one of `ends` the best for steps from `least` to `most`: for given steps the
// scale is the one of least squares, and what it saves says which steps are best. 0 where all numbers are.
template <size_t kSize, size_t kEnds>
float fit_scale(const float* x, float extreme, const float (&ends)[kEnds], float least, float most) {
  float best = 0, best_saved = 0;
  for (const float end : ends) {
    const float inverse = end / extreme;
    if (!std::isfinite(inverse)) continue;
    Lanes product, square;
    for (size_t i = 0; i < kSize; i += Lanes::kCount) {
      for (size_t l = 0; l < Lanes::kCount; ++l) {
        const float steps = nearest_step(x[i + l], inverse, least, most);
        product.value[l] += x[i + l] * steps;
        square.value[l] += steps * steps;
      }
    }
    const float scale = product.sum() / square.sum(), saved = scale * product.sum();
    if (saved > best_saved) {
      best_saved = saved;
      best = scale;
    }
  }
  return best;
}

// What is lost, as a sum of squares, when numbers become steps of `scale`.
template <size_t kSize>
float loss_of(const float* x, float scale, float least, float most) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  Lanes lost;
  for (size_t i = 0; i < kSize; i += Lanes::kCount) {
    for (size_t l = 0; l < Lanes::kCount; ++l) {
      const float error = x[i + l] - scale * nearest_step(x[i + l], inverse, least, most);
      lost.value[l] += error * error;
    }
  }
  return lost.sum();
}

}  // namespace gemlet
