// scanner.cpp - rows in blocks, one partial result for each thread.
#include "scan/scanner.h"

#include "scan/query.h"

namespace gemlet {
namespace {

// Rows of one task, few enough that what is computed of them stays in the first cache.
constexpr size_t kBlock = 1024;
constexpr size_t kCandidateBlock = 64;
constexpr size_t kAhead = 4;  // candidates whose rows are on their way from memory

size_t blocks_of(size_t rows, size_t block) { return (rows + block - 1) / block; }

// One for each thread.
std::vector<Best> partial_results(size_t threads, size_t k) {
  std::vector<Best> parts;
  for (size_t slot = 0; slot < threads; ++slot) parts.emplace_back(k);
  return parts;
}

std::vector<Hit> merge(std::vector<Best>& parts) {
  for (size_t slot = 1; slot < parts.size(); ++slot) parts[0].offer(parts[slot]);
  return parts[0].take();
}

// All rows nearer than `distance`, and the first `ties` of those that are just as far.
struct Limit {
  int32_t distance = 0;
  size_t ties;
};

Limit farthest(const std::vector<size_t>& counts, size_t k) {
  Limit limit{0, k};
  for (const size_t count : counts) {
    if (count >= limit.ties) break;
    limit.ties -= count;
    ++limit.distance;
  }
  return limit;
}

void prefetch(const int8_t* row, size_t dim) {
  for (size_t at = 0; at < dim; at += 64) __builtin_prefetch(row + at);
}

}  // namespace

std::vector<Hit> Scanner::int8(const Vectors& vectors, const float* query, size_t k) const {
  const Query whole(query, vectors.dim);
  const Allowed allowed(vectors.allowed, vectors.rows);
  auto parts = partial_results(threads(), std::min(k, vectors.rows));
  pool_.parallel_for(blocks_of(vectors.rows, kBlock), [&](size_t block, size_t slot) {
    int32_t products[kBlock];
    const size_t begin = block * kBlock, end = std::min(begin + kBlock, vectors.rows);
    allowed.each_run(begin, end, [&](size_t from, size_t to) {
      kernels_.dot_int8(whole.words(), vectors.codes + from * vectors.dim, to - from, vectors.dim, products);
      for (size_t row = from; row < to; ++row)
        parts[slot].offer({whole.score(products[row - from], vectors.scales[row]), static_cast<int64_t>(row)});
    });
  });
  return merge(parts);
}

// In the order of rows.
std::vector<Near> Scanner::nearest(const Vectors& vectors, const uint8_t* query, size_t k) const {
  Buffer<uint16_t> distances(vectors.rows);
  const Limit limit = farthest(count_distances(vectors, query, distances.data()), k);
  std::vector<Near> rows;
  rows.reserve(std::min(k, vectors.rows));
  size_t ties = limit.ties;
  for (size_t row = 0; row < vectors.rows; ++row) {
    const int32_t distance = distances.data()[row];
    if (distance > limit.distance || (distance == limit.distance && ties == 0)) continue;
    if (distance == limit.distance) --ties;
    rows.push_back({distance, static_cast<int64_t>(row)});
  }
  return rows;
}

// Of every row, UINT16_MAX where it is not allowed; returns how many rows have each distance.
std::vector<size_t> Scanner::count_distances(const Vectors& vectors, const uint8_t* query, uint16_t* distances) const {
  const Allowed allowed(vectors.allowed, vectors.rows);
  const size_t bytes = vectors.dim / 8;
  std::vector<std::vector<size_t>> parts(threads(), std::vector<size_t>(vectors.dim + 1));
  pool_.parallel_for(blocks_of(vectors.rows, kBlock), [&](size_t block, size_t slot) {
    const size_t begin = block * kBlock, end = std::min(begin + kBlock, vectors.rows);
    if (vectors.allowed) std::fill(distances + begin, distances + end, uint16_t{UINT16_MAX});
    allowed.each_run(begin, end, [&](size_t from, size_t to) {
      kernels_.hamming(query, vectors.bits + from * bytes, to - from, vectors.dim, distances + from);
      for (size_t row = from; row < to; ++row) ++parts[slot][distances[row]];
    });
  });
  std::vector<size_t> counts(vectors.dim + 1);
  for (const auto& part : parts)
    for (size_t distance = 0; distance < counts.size(); ++distance) counts[distance] += part[distance];
  return counts;
}

std::vector<Near> Scanner::binary(const Vectors& vectors, const uint8_t* query, size_t k) const {
  std::vector<Near> rows = nearest(vectors, query, k);
  std::stable_sort(rows.begin(), rows.end(), [](const Near& a, const Near& b) { return a.distance < b.distance; });
  return rows;
}

std::vector<Hit> Scanner::rescored(const Vectors& vectors, const uint8_t* bits, const float* query, size_t k,
                                   size_t candidates) const {
  const Query whole(query, vectors.dim);
  const std::vector<Near> near = nearest(vectors, bits, candidates);
  auto parts = partial_results(threads(), std::min(k, near.size()));
  pool_.parallel_for(blocks_of(near.size(), kCandidateBlock), [&](size_t block, size_t slot) {
    const size_t begin = block * kCandidateBlock, end = std::min(begin + kCandidateBlock, near.size());
    for (size_t i = begin; i < end; ++i) {
      if (i + kAhead < end) prefetch(vectors.codes + near[i + kAhead].row * vectors.dim, vectors.dim);
      int32_t product;
      kernels_.dot_int8(whole.words(), vectors.codes + near[i].row * vectors.dim, 1, vectors.dim, &product);
      parts[slot].offer({whole.score(product, vectors.scales[near[i].row]), near[i].row});
    }
  });
  return merge(parts);
}

}  // namespace gemlet
