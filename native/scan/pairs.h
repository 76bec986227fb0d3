// pairs.h - two blocks of stored vectors → the pairs that are alike.   (vectors × vectors → pairs)
//
// Every pair is compared as exact integers: the result is the same on every instruction set and with any number of
// threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/threads.h"
#include "kernels/kernels.h"

namespace gemlet {

// The caller's arrays, read in place.
struct Block {
  size_t rows;
  const int8_t* codes;  // [rows, dim], none -128
  const float* scales;  // [rows]: a number of a vector is its code * scale
};

// Which pairs are looked at. The last two are for two blocks that are one.
enum class Which { kAll, kOther, kLater };  // all; right != left; right > left

struct Pair {
  int32_t left, right;
  float score;  // code . code * (scale * scale)
};

struct PairQuery {
  size_t dim;           // a multiple of kWidthUnit, kMaxWidth or less
  const float* floors;  // [left rows]: the least score of a pair of that row
  size_t k;             // not 0: a row's pairs may be left out that are not among its k best (by score, then right row)
  Which which;
};

// Pairs in the order of left, then right. A pair whose score is no number is left out. Holds as many pairs as there
// are: the caller bounds them by the sizes of the blocks. Throws Error(kInput) when a code is -128.
std::vector<Pair> find_pairs(const Block& left, const Block& right, const PairQuery& query, const Kernels& kernels,
                             ThreadPool& pool);

}  // namespace gemlet
