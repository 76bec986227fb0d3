// pairs.cpp - tiles of exact products; most pairs are ruled out by the first of their numbers.
//
// The first numbers of a vector of this model say the most. What the others can add to a product is at most the product
// of their lengths (Cauchy and Schwarz), so a pair that stays under its floor even then needs no more work. That leaves
// out no pair.
#include "scan/pairs.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>

#include "base/bytes.h"
#include "base/error.h"

namespace gemlet {
namespace {

constexpr size_t kRows = 128, kColumns = 4 * kPanel;  // of a tile: its products stay in the second cache
constexpr size_t kMany = kRows * kColumns / 16;       // more pairs of a tile than this are multiplied together
constexpr float kSlack = 0x1p-8f;                     // times a vector's length: more than rounding moves a bound
constexpr size_t kStep = 2 * kWidthUnit, kSample = 32, kAlone = 10;  // see first_numbers()

int32_t dot(const int8_t* a, const int8_t* b, size_t n) {
  int32_t total = 0;
  for (size_t i = 0; i < n; ++i) total += a[i] * b[i];
  return total;
}

// A rest of a vector, from its squares.
float length_of(int32_t rest, int32_t all, float scale) {
  if (rest == 0) return 0;
  return static_cast<float>(std::sqrt(double(rest)) + kSlack * std::sqrt(double(all))) * std::fabs(scale);
}

// How many numbers to multiply for all pairs: the cheapest by a few pairs, where one that stays near costs kAlone times
// as much by itself. It changes the time, never the result.
size_t first_numbers(const Block& left, const Block& right, const PairQuery& query) {
  const size_t dim = query.dim, steps = (dim - 1) / kStep;
  std::vector<size_t> near(steps);
  const size_t rows = std::min(kSample, left.rows), columns = std::min(kSample, right.rows);
  for (size_t r = 0; r < rows; ++r) {
    const size_t row = r * left.rows / rows;
    const int8_t* a = left.codes + row * dim;
    for (size_t c = 0; c < columns; ++c) {
      const size_t column = c * right.rows / columns;
      const int8_t* b = right.codes + column * dim;
      const int32_t of_a = dot(a, a, dim), of_b = dot(b, b, dim);
      int32_t product = 0, a_left = of_a, b_left = of_b;
      for (size_t step = 0; step < steps; ++step, a += kStep, b += kStep) {
        product += dot(a, b, kStep);
        const float rest = length_of(a_left -= dot(a, a, kStep), of_a, left.scales[row]) *
                           length_of(b_left -= dot(b, b, kStep), of_b, right.scales[column]);
        const float scale = left.scales[row] * right.scales[column];
        near[step] += static_cast<float>(product) * scale + rest >= query.floors[row];
      }
      a -= steps * kStep;
    }
  }
  size_t best = dim, cost = dim * rows * columns;
  for (size_t step = 0; step < steps; ++step) {
    const size_t first = (step + 1) * kStep, with = first * rows * columns + kAlone * dim * near[step];
    if (with < cost) best = first, cost = with;
  }
  return best;
}

// What is known of each row of a block.
class Lengths {
 public:
  Lengths(const Block& block, size_t dim, size_t first, bool sums)
      : rests_(block.rows), first_sums_(sums ? block.rows : 0), rest_sums_(sums ? block.rows : 0) {
    for (size_t r = 0; r < block.rows; ++r) {
      const int8_t* row = block.codes + r * dim;
      if (holds_lowest(row, dim))
        throw Error(Code::kInput, "row " + std::to_string(r) + " holds the code -128; codes go from -127 to 127");
      const int32_t rest = dot(row + first, row + first, dim - first);
      rests_.data()[r] = length_of(rest, rest + dot(row, row, first), block.scales[r]);
      if (!sums) continue;
      first_sums_.data()[r] = sum(row, first);
      rest_sums_.data()[r] = sum(row + first, dim - first);
    }
  }

  const float* rests() const { return rests_.data(); }
  const int32_t* first_sums() const { return first_sums_.data(); }
  const int32_t* rest_sums() const { return rest_sums_.data(); }

 private:
  static int32_t sum(const int8_t* codes, size_t n) {
    int32_t total = 0;
    for (size_t i = 0; i < n; ++i) total += codes[i];
    return total;
  }
  static bool holds_lowest(const int8_t* codes, size_t n) {
    int32_t any = 0;
    for (size_t i = 0; i < n; ++i) any |= codes[i] == INT8_MIN;
    return any;
  }

  Buffer<float> rests_;  // how long the numbers behind the first are at most
  Buffer<int32_t> first_sums_, rest_sums_;
};

// One thread's work on up to kColumns rows of the right block.
class Columns {
 public:
  Columns(const Block& left, const Block& right, const PairQuery& query, const Kernels& kernels, const Lengths& of_left,
          const Lengths& of_right, size_t first, size_t begin)
      : left_(left),
        right_(right),
        query_(query),
        kernels_(kernels),
        of_left_(of_left),
        of_right_(of_right),
        begin_(begin),
        count_(std::min(kColumns, right.rows - begin)),
        first_(first),
        panels_((count_ + kPanel - 1) / kPanel),
        heads_(panels_ * kPanel * first_),
        products_(kRows * panels_ * kPanel),
        words_(query.dim) {
    kernels.pack_codes(right.codes + begin * query.dim, count_, query.dim, first_, heads_.data());
  }

  void add_pairs(std::vector<Pair>& found) {
    for (size_t row = 0; row < left_.rows; row += kRows) {
      const size_t rows = std::min(kRows, left_.rows - row);
      if (query_.which == Which::kLater && begin_ + count_ <= row) break;
      multiply_heads(row, rows);
      bool whole = first_ == query_.dim;
      if (count_near(row, rows, whole) > kMany && !whole) {
        multiply_tails(row, rows);
        count_near(row, rows, whole = true);
      }
      for (size_t r = 0; r < rows; ++r)
        if (near_[r]) add_row(row + r, products_.data() + r * panels_ * kPanel, whole, found);
    }
  }

 private:
  void multiply_heads(size_t row, size_t rows) {
    std::fill_n(products_.data(), rows * panels_ * kPanel, 0);
    kernels_.multiply_codes(left_.codes + row * query_.dim, of_left_.first_sums() + row, rows, query_.dim,
                            heads_.data(), panels_, first_, products_.data());
  }

  void multiply_tails(size_t row, size_t rows) {
    const size_t rest = query_.dim - first_;
    if (!tails_.size()) {
      tails_ = Buffer<uint8_t>(panels_ * kPanel * rest);
      kernels_.pack_codes(right_.codes + begin_ * query_.dim + first_, count_, query_.dim, rest, tails_.data());
    }
    kernels_.multiply_codes(left_.codes + row * query_.dim + first_, of_left_.rest_sums() + row, rows, query_.dim,
                            tails_.data(), panels_, rest, products_.data());
  }

  // Whether a pair may reach its floor: with a rest of 0, whether it does.
  bool is_near(size_t row, size_t column, int32_t product, float rest) const {
    return static_cast<float>(product) * (left_.scales[row] * right_.scales[column]) +
               rest * of_right_.rests()[column] >=
           query_.floors[row];
  }

  float rest_of(size_t row, bool whole) const { return whole ? 0 : of_left_.rests()[row]; }

  // Of each row the pairs that may reach its floor, in near_; returns their sum.
  size_t count_near(size_t row, size_t rows, bool whole) {
    size_t total = 0;
    for (size_t r = 0; r < rows; ++r) {
      const int32_t* products = products_.data() + r * panels_ * kPanel;
      const float rest = rest_of(row + r, whole);
      int32_t near = 0;
      for (size_t c = 0; c < count_; ++c) near += is_near(row + r, begin_ + c, products[c], rest);
      total += static_cast<size_t>(near_[r] = near);
    }
    return total;
  }

  // products: whole, or of the first numbers.
  void add_row(size_t row, const int32_t* products, bool whole, std::vector<Pair>& found) {
    const float rest = rest_of(row, whole);
    const size_t before = found.size();
    bool has_words = false;
    for (size_t c = 0; c < count_; ++c) {
      const size_t column = begin_ + c;
      int32_t product = products[c];
      if (!is_near(row, column, product, rest) || !looked_at(row, column)) continue;
      if (!whole) {
        if (!has_words) std::copy_n(left_.codes + row * query_.dim, query_.dim, words_.data());
        has_words = true;
        kernels_.dot_int8(words_.data(), right_.codes + column * query_.dim, 1, query_.dim, &product);
      }
      if (is_near(row, column, product, 0)) found.push_back(pair_of(row, column, product));
    }
    keep_best(found, before);
  }

  bool looked_at(size_t row, size_t column) const {
    return query_.which == Which::kAll || (query_.which == Which::kOther ? column != row : column > row);
  }

  Pair pair_of(size_t row, size_t column, int32_t product) const {
    const float score = static_cast<float>(product) * (left_.scales[row] * right_.scales[column]);
    return {static_cast<int32_t>(row), static_cast<int32_t>(column), score};
  }

  void keep_best(std::vector<Pair>& found, size_t before) const {
    if (query_.k == 0 || found.size() - before <= query_.k) return;
    const auto begin = found.begin() + static_cast<ptrdiff_t>(before);
    const auto better = [](const Pair& a, const Pair& b) {
      return a.score != b.score ? a.score > b.score : a.right < b.right;
    };
    std::nth_element(begin, begin + static_cast<ptrdiff_t>(query_.k), found.end(), better);
    found.resize(before + query_.k);
  }

  const Block &left_, &right_;
  const PairQuery& query_;
  const Kernels& kernels_;
  const Lengths &of_left_, &of_right_;
  const size_t begin_, count_, first_, panels_;
  Buffer<uint8_t> heads_, tails_;
  Buffer<int32_t> products_;
  Buffer<int16_t> words_;
  int32_t near_[kRows];
};

}  // namespace

std::vector<Pair> find_pairs(const Block& left, const Block& right, const PairQuery& query, const Kernels& kernels,
                             ThreadPool& pool) {
  const size_t first = first_numbers(left, right, query);
  const Lengths of_left(left, query.dim, first, true), of_right(right, query.dim, first, false);
  std::vector<std::vector<Pair>> parts((right.rows + kColumns - 1) / kColumns);
  std::atomic<bool> full{false};  // a task must not throw
  pool.parallel_for(parts.size(), [&](size_t i, size_t) {
    try {
      Columns(left, right, query, kernels, of_left, of_right, first, i * kColumns).add_pairs(parts[i]);
    } catch (const std::bad_alloc&) {
      full = true;
    }
  });
  if (full) throw std::bad_alloc();
  std::vector<Pair> found;
  for (std::vector<Pair>& part : parts) {
    found.insert(found.end(), part.begin(), part.end());
    std::vector<Pair>().swap(part);
  }
  std::sort(found.begin(), found.end(),
            [](const Pair& a, const Pair& b) { return a.left != b.left ? a.left < b.left : a.right < b.right; });
  return found;
}

}  // namespace gemlet
