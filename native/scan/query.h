// query.h - a query's numbers as whole ones.
#pragma once
#include <cmath>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/kernels.h"

namespace gemlet {

// A vector as words * scale, in more steps than a byte has: the stored vectors' rounding is the only one that counts.
class Query {
 public:
  // x: [dim]. Throws Error(kInput) when it is not finite.
  Query(const float* x, size_t dim) : words_(dim) {
    double top = 0;
    for (size_t i = 0; i < dim; ++i) {
      if (!std::isfinite(x[i])) throw Error(Code::kInput, "the query is not finite: number " + std::to_string(i));
      top = std::max(top, std::fabs(double{x[i]}));
    }
    const double steps = largest_of_query(dim), inverse = top > 0 ? steps / top : 0;
    for (size_t i = 0; i < dim; ++i) words_.data()[i] = static_cast<int16_t>(std::nearbyint(x[i] * inverse));
    scale_ = static_cast<float>(top / steps);
  }

  const int16_t* words() const { return words_.data(); }
  float score(int32_t product, float scale) const { return static_cast<float>(product) * scale * scale_; }

 private:
  Buffer<int16_t> words_;
  float scale_;
};

}  // namespace gemlet
