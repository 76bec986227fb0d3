// scan.inl - one query against many rows of bytes or bits, once for all ISAs.
//
// Included by each ISA file behind codes.inl and the primitives of search: dot_codes, 32 products added to the 16 lanes
// of an I, and Count, which takes up the differing bits of kBytes bytes.

#include "kernels/codes.inl"

// Bytes that are on their way from memory: what comes unasked stops at every page.
constexpr size_t kScanAhead = 1536;

template <bool kMore>
GEMLET_INLINE int32_t dot_row(const int16_t* query, const int8_t* codes, size_t n) {
  const int32_t zero = 0;
  I acc = I::broadcast(&zero);
  for (size_t j = 0; j < n; j += kWidthUnit) {
    if constexpr (kMore) __builtin_prefetch(codes + j + kScanAhead);
    acc = dot_codes(acc, codes + j, query + j);
  }
  return sum(acc);
}

// One row after the other: memory is read in one stream.
static void dot_int8(const int16_t* query, const int8_t* codes, size_t rows, size_t n, int32_t* products) {
  const int8_t* const end = codes + rows * n;
  size_t r = 0;
  for (; static_cast<size_t>(end - codes) > kScanAhead; codes += n) products[r++] = dot_row<true>(query, codes, n);
  for (; codes < end; codes += n) products[r++] = dot_row<false>(query, codes, n);
}

GEMLET_INLINE int32_t differing_word(const uint8_t* a, const uint8_t* b) {
  uint32_t x, y;
  __builtin_memcpy(&x, a, sizeof x);
  __builtin_memcpy(&y, b, sizeof y);
  return __builtin_popcount(x ^ y);
}

template <size_t kRows>
GEMLET_INLINE void count_rows(const uint8_t* query, const uint8_t* bits, size_t bytes, uint16_t* distances) {
  Registers<Count, kRows> counts{};
  size_t j = 0;
  for (; j + Count::kBytes <= bytes; j += Count::kBytes)
    counts.each([&](size_t r, Count& c) GEMLET_LAMBDA {
      __builtin_prefetch(bits + r * bytes + j + kScanAhead);
      c.add(query + j, bits + r * bytes + j);
    });
  counts.each([&](size_t r, Count& c) GEMLET_LAMBDA {
    int32_t total = c.total();
    for (size_t rest = j; rest < bytes; rest += sizeof(uint32_t))
      total += differing_word(query + rest, bits + r * bytes + rest);
    distances[r] = static_cast<uint16_t>(total);
  });
}

// Rows whose sums do not wait for one another.
constexpr size_t kScanRows = 4;

static void hamming(const uint8_t* query, const uint8_t* bits, size_t rows, size_t n, uint16_t* distances) {
  const size_t bytes = n / 8;
  size_t r = 0;
  for (; r + kScanRows <= rows; r += kScanRows) count_rows<kScanRows>(query, bits + r * bytes, bytes, distances + r);
  for (; r < rows; ++r) count_rows<1>(query, bits + r * bytes, bytes, distances + r);
}

#define GEMLET_TABLE(name, rank, supported)                                                                            \
  extern const Kernels table;                                                                                          \
  const Kernels table {                                                                                                \
    name, rank, supported, kF32, kBF16, kInt8, kInt8Fine, kInt8Values, kInt4, pack_q4_0, rms_norm, add_rms_norm, rope, \
        gelu_tanh_mul, scale, mean_rows, dot_int8, hamming, pack_codes, multiply_codes, spin_int8                      \
  }
