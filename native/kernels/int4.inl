// int4.inl - bytes times ggml's Q4_0, whose scales are its own.
//
// Included by each ISA file behind int8.inl. w comes in blocks of 32 numbers from 0 to 15, which mean (number - 8) *
// scale. x is rounded to bytes, a scale for each block too, as it is not rotated: the w of a file is not.

#include "kernels/int8.inl"

// The two blocks of 64 numbers of a row lie together. In a panel: for each vector of outputs the scales of the first
// block, then of the second, in half precision; then the steps of the first block and of the second, two to a byte.
constexpr size_t kPairedBlocks = 2;
constexpr size_t kPairHeadBytes = kPairedBlocks * kPanel * sizeof(uint16_t);
constexpr size_t kBlockBytes = kInt4Block * kPanel / 2;
constexpr size_t kPairBytes = kPairHeadBytes + kPairedBlocks * kBlockBytes;
static_assert(kPairHeadBytes == kStepBytes);  // one vector's scales are as long as its numbers of a step

struct Int4 {
  static constexpr size_t kTileRows = kInt4Rows;
  static constexpr int32_t kBias = 8, kNothing = 0;
  static_assert(kInt4Block / 2 * 15 * 127 <= INT16_MAX);  // kPairedSums: a block's products in two sums

  // Behind the k bytes of a prepared row lies for each block its scale, and where its sum starts: minus what the bias
  // adds to it.
  static constexpr size_t kRowBytes = round_up(kMaxInt8Width + kMaxInt8Width / kInt4Block * sizeof(GroupOfRow), 64);
  static size_t row_bytes(size_t) { return kRowBytes; }
  static size_t panel_bytes(size_t k) {
    return (k + kPairedBlocks * kInt4Block - 1) / (kPairedBlocks * kInt4Block) * kPairBytes;
  }

  static void prepare(const float* x, size_t k, void* row) {
    auto* numbers = static_cast<uint8_t*>(row);
    auto* blocks = reinterpret_cast<GroupOfRow*>(numbers + k);
    for (size_t j = 0; j < k; j += kInt4Block) {
      V largest = V::zero();
      for (size_t i = j; i < j + kInt4Block; i += V::kLanes) largest = max_magnitude(largest, V::load(x + i));
      blocks[j / kInt4Block] = round_group<127, 0>(x + j, kInt4Block, highest_magnitude(largest), numbers + j);
    }
    for (size_t b = 0; b < k / kInt4Block; ++b) {
      int32_t sum = 0;
      for (size_t i = 0; i < kInt4Block; ++i) sum += static_cast<int8_t>(numbers[b * kInt4Block + i]);
      blocks[b].start = -kBias * sum;
    }
  }

  // One block: acc += its sums. x, w: at its first step.
  template <size_t kRows>
  GEMLET_INLINE static void add_block(Registers<I, kRows * kTileVectors>& acc, const uint8_t* x, const uint8_t* w,
                                      Fetch& fetch) {
    for (size_t s = 0; s < kInt4Block / kUnitBytes; s += 2, x += 2 * kUnitBytes, w += kStepBytes) {
      __builtin_prefetch(fetch.next);
      fetch.next += fetch.stride;
      U low[kTileVectors], high[kTileVectors];
      for (size_t v = 0; v < kTileVectors; ++v) {
        const U both = U::load(w + v * kVectorBytes);
        low[v] = low_halves(both);
        high[v] = high_halves(both);
      }
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA {
        a = dot_halves(a, low[i % kTileVectors], U::broadcast(x + i / kTileVectors * kRowBytes));
      });
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA {
        a = dot_halves(a, high[i % kTileVectors], U::broadcast(x + kUnitBytes + i / kTileVectors * kRowBytes));
      });
    }
  }

  template <size_t kRows>
  static void run(const uint8_t* x, size_t, const uint8_t* w, size_t k, Fetch fetch, float* y, size_t ldy) {
    const uint8_t* blocks = x + k;
    Registers<V, kRows * kTileVectors> sums;
    sums.each([](size_t, V& s) GEMLET_LAMBDA { s = V::zero(); });
    for (size_t b = 0; b < k / kInt4Block; ++b, blocks += sizeof(GroupOfRow)) {
      const auto block_of = [&](size_t i) GEMLET_LAMBDA {
        return reinterpret_cast<const GroupOfRow*>(blocks + i / kTileVectors * kRowBytes);
      };
      const uint8_t* pair = w + b / kPairedBlocks * kPairBytes;
      const size_t second = b % kPairedBlocks;
      Registers<I, kRows * kTileVectors> acc;
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA { a = I::broadcast(kPairedSums ? &kNothing : &block_of(i)->start); });
      add_block<kRows>(acc, x + b * kInt4Block, pair + kPairHeadBytes + second * kBlockBytes, fetch);
      V scales[kTileVectors];
      for (size_t v = 0; v < kTileVectors; ++v)
        scales[v] = load_f16(pair + v * kVectorBytes + second * V::kLanes * sizeof(uint16_t));
      sums.each(acc, [&](size_t i, V& s, I& a) GEMLET_LAMBDA {
        if constexpr (kPairedSums) a = add(sum_pairs(a), I::broadcast(&block_of(i)->start));
        s = multiply_add(mul(to_float(a), V::broadcast(block_of(i)->scale)), scales[i % kTileVectors], s);
      });
    }
    sums.each([&](size_t i, V& s)
                  GEMLET_LAMBDA { s.store(y + i / kTileVectors * ldy + i % kTileVectors * V::kLanes); });
  }
};

// A block in a file: the scale, then 16 bytes, of which byte i holds number i and, above it, number i + 16.
static void pack_q4_0(const uint8_t* blocks, size_t n, size_t k, void* packed, size_t stride_panel) {
  constexpr size_t kWords = 4;
  constexpr uint32_t kLow = 0x0f0f0f0f;
  for (size_t i = 0; i < n; ++i) {
    uint8_t* panel = static_cast<uint8_t*>(packed) + i / kPanel * stride_panel;
    const size_t at = i % kPanel, vector = at / V::kLanes, lane = at % V::kLanes;
    for (size_t b = 0; b < k / kInt4Block; ++b, blocks += sizeof(uint16_t) + kInt4Block / 2) {
      uint8_t* pair = panel + b / kPairedBlocks * kPairBytes;
      const size_t second = b % kPairedBlocks;
      uint32_t words[kWords];
      __builtin_memcpy(words, blocks + sizeof(uint16_t), sizeof words);
      const uint32_t steps[kWords] = {
          (words[0] & kLow) | (words[1] & kLow) << 4, (words[2] & kLow) | (words[3] & kLow) << 4,
          (words[0] >> 4 & kLow) | (words[1] & ~kLow), (words[2] >> 4 & kLow) | (words[3] & ~kLow)};
      uint8_t* numbers = pair + kPairHeadBytes + second * kBlockBytes + at * kUnitBytes;
      for (size_t s = 0; s < kWords; ++s) __builtin_memcpy(numbers + s * kStepBytes, &steps[s], kUnitBytes);
      __builtin_memcpy(pair + vector * kVectorBytes + (second * V::kLanes + lane) * sizeof(uint16_t), blocks,
                       sizeof(uint16_t));
    }
  }
}

constexpr Gemm kInt4 = {Int4::row_bytes, Int4::panel_bytes, Int4::prepare, nullptr, nullptr, nullptr, multiply<Int4>};
