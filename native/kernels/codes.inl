// codes.inl - rows of bytes times rows of bytes, once for all ISAs: every vector of a block with every one of another.
//
// Included by each ISA file behind int4.inl. One side is packed as the weights of the int8 products are, [step][32]
// with its bias; the other is read where it lies.

#include "kernels/int4.inl"

struct CodesTile {
  static constexpr size_t kTileRows = kInt8Rows;

  template <size_t kRows>
  static void run(const uint8_t* x, const int32_t* sums, size_t stride_x, const uint8_t* w, size_t k, Fetch fetch,
                  int32_t* y, size_t ldy) {
    const auto at = [&](size_t i) GEMLET_LAMBDA { return y + i / kTileVectors * ldy + i % kTileVectors * V::kLanes; };
    Registers<I, kRows * kTileVectors> acc;
    acc.each([&](size_t i, I& a) GEMLET_LAMBDA {
      const int32_t start = kUnsignedWeights ? -kWeightBias * sums[i / kTileVectors] : 0;
      a = add(I::load(at(i)), I::broadcast(&start));
    });
    accumulate<dot_int8, kRows>(acc, x, stride_x, w, k / kUnitBytes, fetch);
    acc.each([&](size_t i, I& a) GEMLET_LAMBDA { a.store(at(i)); });
  }
};

static void pack_codes(const int8_t* codes, size_t n, size_t stride, size_t k, void* packed) {
  constexpr uint32_t kBias = kWeightBias * 0x01010101u;
  for (size_t i = 0; i < round_up(n, kPanel); ++i) {
    uint8_t* to = static_cast<uint8_t*>(packed) + i / kPanel * k * kPanel + i % kPanel * kUnitBytes;
    for (size_t j = 0; j < k; j += kUnitBytes, to += kStepBytes) {
      uint32_t unit = 0;
      if (i < n) __builtin_memcpy(&unit, codes + i * stride + j, sizeof unit);
      unit ^= kBias;  // as w + 128 is
      __builtin_memcpy(to, &unit, sizeof unit);
    }
  }
}

static void multiply_codes(const int8_t* x, const int32_t* sums, size_t rows, size_t stride_x, const void* packed,
                           size_t panels, size_t k, int32_t* products) {
  constexpr size_t kTile = CodesTile::kTileRows;
  const size_t ldy = panels * kPanel;
  for (size_t p = 0; p < panels; ++p) {
    for (size_t v = 0; v < kPanelVectors; v += kTileVectors) {
      const uint8_t* w = static_cast<const uint8_t*>(packed) + p * k * kPanel + v * kVectorBytes;
      int32_t* column = products + p * kPanel + v * V::kLanes;
      for (size_t r = 0; r < rows; r += kTile)
        run_tile<CodesTile, kTile>(rows - r < kTile ? rows - r : kTile,
                                   reinterpret_cast<const uint8_t*>(x) + r * stride_x, sums + r, stride_x, w, k,
                                   Fetch{w, 0}, column + r * ldy, ldy);
    }
  }
}
