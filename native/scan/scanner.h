// scanner.h - one query and many stored vectors → the nearest rows.   (vectors → rows, best first)
//
// Everything is compared as exact integers, and of equal rows the lower is better: the result is the same on every
// instruction set and with any number of threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/threads.h"
#include "kernels/kernels.h"
#include "scan/allowed.h"
#include "scan/best.h"
#include "scan/pairs.h"

namespace gemlet {

// The caller's arrays, read in place; a null one is not needed for what is asked. dim is a multiple of kWidthUnit.
struct Vectors {
  size_t rows, dim;
  const int8_t* codes;     // [rows, dim]
  const float* scales;     // [rows]: a number of a vector is its code * scale
  const uint8_t* bits;     // [rows, dim / 8]: any one bit for each number of a vector, in the order of the query's
  const uint8_t* allowed;  // see Allowed
};

struct Near {
  int32_t distance;  // bits that differ
  int64_t row;
};

// Any number of threads may call at once.
class Scanner {
 public:
  Scanner(size_t threads, const Kernels& kernels) : kernels_(kernels), pool_(threads) {}

  size_t threads() const { return pool_.threads(); }
  const Kernels& kernels() const { return kernels_; }

  // The k rows whose product with the query, [dim], is largest, best first. A row whose product is no number is left
  // out. Throws Error(kInput) when the query is not finite.
  std::vector<Hit> int8(const Vectors& vectors, const float* query, size_t k) const;

  // The k rows whose bits differ from the query's, [dim / 8], in the fewest places, nearest first.
  std::vector<Near> binary(const Vectors& vectors, const uint8_t* query, size_t k) const;

  // As int8, among the `candidates` nearest rows by their bits.
  std::vector<Hit> rescored(const Vectors& vectors, const uint8_t* bits, const float* query, size_t k,
                            size_t candidates) const;

  std::vector<Pair> pairs(const Block& left, const Block& right, const PairQuery& query) const {
    return find_pairs(left, right, query, kernels_, pool_);
  }

 private:
  std::vector<Near> nearest(const Vectors& vectors, const uint8_t* query, size_t k) const;
  std::vector<size_t> count_distances(const Vectors& vectors, const uint8_t* query, uint16_t* distances) const;

  const Kernels& kernels_;
  mutable ThreadPool pool_;
};

}  // namespace gemlet
