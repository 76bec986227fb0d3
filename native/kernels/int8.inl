// int8.inl - the packed matrix product in bytes, once for all ISAs.
//
// A row is cut into groups, each with a scale of its own (the last
// may be shorter). Before it is rounded, every block of 32 is multiplied by the Hadamard matrix of +1 and -1, which
// spreads a few large numbers over all 32 and cancels in the product: (H x) . (H w) = 32 x . w.

#include "kernels/gemm.inl"

constexpr size_t kRotated = 32;

// What follows the k bytes of a prepared row, for each group.
struct GroupOfRow {
  float scale;
  int32_t start;  // of the sum: minus what the weights' bias adds to it
};

GEMLET_INLINE V rotate_vector(V v) { return butterfly<1>(butterfly<2>(butterfly<4>(butterfly<8>(v)))); }

// One group of n numbers, rotated; returns the largest magnitude: NaN or infinity if there is one.
GEMLET_INLINE float rotate_group(const float* x, size_t n, float* rotated) {
  V largest = V::zero();
  for (size_t j = 0; j < n; j += kRotated) {
    const V a = V::load(x + j), b = V::load(x + j + V::kLanes);
    const V low = rotate_vector(add(a, b)), high = rotate_vector(sub(a, b));
    low.store(rotated + j);
    high.store(rotated + j + V::kLanes);
    largest = max_magnitude(max_magnitude(largest, low), high);
  }
  return highest_magnitude(largest);
}

// Adding this leaves the nearest integer, ties to even, in the lowest byte.
constexpr float kMagic = 0x1.8p23f;

// The inverse of the largest of a group would be infinite below this: such a group becomes 0.
constexpr float kNextToNothing = 0x1p-100f;

// To kLevels steps up to the largest, less kShift: int8.
template <int kLevels, int kShift>
GEMLET_INLINE GroupOfRow round_group(const float* x, size_t n, float largest, uint8_t* out) {
  const V inverse = V::broadcast(largest < kNextToNothing ? 0.0f : kLevels / largest);
  const V zero = V::broadcast(kMagic), shifted = V::broadcast(kMagic - kShift);
  V total = V::zero();
  for (size_t j = 0; j < n; j += V::kLanes) {
    const V rounded = add(mul(V::load(x + j), inverse), shifted);
    store_lowest_bytes(rounded, out + j);
    if constexpr (kUnsignedWeights) total = add(total, sub(rounded, zero));
  }
  const float whole = kUnsignedWeights ? sum(total) : 0;  // at most 128 * 128, or NaN
  return {largest / kLevels, whole == whole ? -kWeightBias * static_cast<int32_t>(whole) : 0};
}

// Rows x at a distance of kRowBytes. In a panel lie for each group [32] f32 scales, if kStarts [32] int32 where the
// sums start, then the steps.
template <size_t kGroup, size_t kRowBytes, bool kStarts>
struct Int8Tile {
  static constexpr size_t kTileRows = kInt8Rows;
  static constexpr size_t kScaleBytes = kPanel * sizeof(float), kHeadBytes = kScaleBytes * (kStarts ? 2 : 1);

  template <size_t kRows>
  static void run(const uint8_t* x, size_t, const uint8_t* w, size_t k, Fetch fetch, float* y, size_t ldy) {
    if constexpr (kStarts) k = round_up(k, kGroup);
    const uint8_t* groups = x + k;
    for (size_t r = 0; r < kRows; ++r)
      for (size_t v = 0; v < kTileVectors; ++v) __builtin_prefetch(y + r * ldy + v * V::kLanes, 1);
    for (size_t j = 0; j < k; j += kGroup, groups += sizeof(GroupOfRow)) {
      const size_t count = k - j < kGroup ? k - j : kGroup;
      const auto group_of = [&](size_t i) GEMLET_LAMBDA {
        return reinterpret_cast<const GroupOfRow*>(groups + i / kTileVectors * kRowBytes);
      };
      Registers<I, kRows * kTileVectors> acc;
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA {
        a = I::broadcast(&group_of(i)->start);
        if constexpr (kStarts) a = add(a, I::load(w + kScaleBytes + i % kTileVectors * kVectorBytes));
      });
      accumulate<dot_int8, kRows>(acc, x + j, kRowBytes, w + kHeadBytes, count / kUnitBytes, fetch);
      V scales[kTileVectors];
      for (size_t v = 0; v < kTileVectors; ++v)
        scales[v] = V::load(reinterpret_cast<const float*>(w + v * kVectorBytes));
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA {
        float* to = y + i / kTileVectors * ldy + i % kTileVectors * V::kLanes;
        const V part = mul(mul(to_float(a), V::broadcast(group_of(i)->scale)), scales[i % kTileVectors]);
        (j == 0 ? part : add(V::load(to), part)).store(to);
      });
      w += kHeadBytes + count * kPanel;
    }
  }
};

template <size_t kGroup, size_t kMaxK>
struct Int8Product {
  static_assert(kWidthUnit % kRotated == 0 && kGroup % kRotated == 0 && kMaxK % kGroup == 0);

  // The same for every k: a tile's rows lie at constant distances then, which takes no registers.
  static constexpr size_t kRowBytes = (kMaxK + kMaxK / kGroup * sizeof(GroupOfRow) + 63) / 64 * 64;
  static size_t row_bytes(size_t) { return kRowBytes; }

  using Tile = Int8Tile<kGroup, kRowBytes, false>;
  static size_t panel_bytes(size_t k) { return (k + kGroup - 1) / kGroup * Tile::kHeadBytes + k * kPanel; }

  // All groups are rotated before the first is rounded: rounding waits for the largest of its group, and the next group
  // fills that wait. The loops of a whole group have a constant length.
  static void round_row(const float* x, size_t k, uint8_t* numbers, GroupOfRow* groups) {
    alignas(64) float rotated[kMaxK];
    float largest[kMaxK / kGroup];
    const size_t whole = k / kGroup, rest = k % kGroup;
    for (size_t g = 0; g < whole; ++g) largest[g] = rotate_group(x + g * kGroup, kGroup, rotated + g * kGroup);
    if (rest) largest[whole] = rotate_group(x + whole * kGroup, rest, rotated + whole * kGroup);
    for (size_t g = 0; g < whole; ++g)
      groups[g] = round_group<127, 0>(rotated + g * kGroup, kGroup, largest[g], numbers + g * kGroup);
    if (rest)
      groups[whole] = round_group<127, 0>(rotated + whole * kGroup, rest, largest[whole], numbers + whole * kGroup);
  }

  static void prepare(const float* x, size_t k, void* row) {
    auto* numbers = static_cast<uint8_t*>(row);
    round_row(x, k, numbers, reinterpret_cast<GroupOfRow*>(numbers + k));
  }

  static void pack(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
    uint8_t numbers[kMaxK] = {};
    GroupOfRow groups[kMaxK / kGroup] = {};
    for (size_t i = 0; i < round_up(n, kPanel); ++i) {
      if (i <= n) {  // row n is zero, and so are those behind it
        if (i < n) {
          round_row(w + i * ld, k, numbers, groups);
        } else {
          __builtin_memset(numbers, 0, sizeof numbers);
          __builtin_memset(groups, 0, sizeof groups);
        }
        for (size_t b = 0; b < k; ++b) numbers[b] = static_cast<uint8_t>(numbers[b] + kWeightBias);
      }
      place_row(numbers, groups, k, static_cast<uint8_t*>(packed) + i / kPanel * stride_panel, i % kPanel);
    }
  }

  // Row `at` of the 32 in a panel.
  static void place_row(const uint8_t* numbers, const GroupOfRow* groups, size_t k, uint8_t* panel, size_t at) {
    for (size_t j = 0; j < k; j += kGroup) {
      const size_t count = k - j < kGroup ? k - j : kGroup;
      const float scale = groups[j / kGroup].scale / kRotated;
      __builtin_memcpy(panel + at * sizeof scale, &scale, sizeof scale);
      panel += Tile::kHeadBytes;
      for (size_t b = 0; b < count; b += kUnitBytes)
        __builtin_memcpy(panel + b * kPanel + at * kUnitBytes, numbers + j + b, kUnitBytes);
      panel += count * kPanel;
    }
  }
};

constexpr Gemm kF32 = {f32_row_bytes,
                       f32_panel_bytes,
                       f32_prepare,
                       f32_prepare_softmax,
                       f32_pack,
                       f32_pack_columns,
                       multiply<FloatTile<dot_f32, 1, kF32Rows>>};
constexpr Gemm kBF16 = {bf16_row_bytes,
                        bf16_panel_bytes,
                        bf16_prepare,
                        bf16_prepare_softmax,
                        bf16_pack,
                        bf16_pack_columns,
                        multiply<FloatTile<dot_bf16, 2, kBF16Rows>>};
// 12 independent chains of dot_int8 on registers alone: what no product of bytes can outrun. For benchmarks.
constexpr size_t kSpinChains = 12;
static float spin_int8(size_t rounds, int32_t seed) {
  const U w = U::broadcast(&seed), x = U::broadcast(&seed);
  Registers<I, kSpinChains> acc;
  acc.each([&](size_t, I& a) GEMLET_LAMBDA { a = I::broadcast(&seed); });
  for (size_t i = 0; i < rounds; ++i) acc.each([&](size_t, I& a) GEMLET_LAMBDA { a = dot_int8(a, w, x); });
  V total = V::zero();
  acc.each([&](size_t, I& a) GEMLET_LAMBDA { total = add(total, to_float(a)); });
  return sum(total);
}

// x: what softmax gives, from 0 to 255, which travels as -128 to 127; the 128 * w that a sum then lacks is where it
// starts, in the panel.
struct Int8Values {
  static constexpr size_t kGroup = kInt8ValuesGroup, kShift = 128;
  static constexpr size_t kRowBytes = kMaxInt8Values + kMaxInt8Values / kGroup * sizeof(GroupOfRow);
  static size_t row_bytes(size_t) { return kRowBytes; }

  using Tile = Int8Tile<kGroup, kRowBytes, true>;
  static constexpr size_t kGroupBytes = Tile::kHeadBytes + kGroup * kPanel;
  static size_t panel_bytes(size_t k) { return round_up(k, kGroup) / kGroup * kGroupBytes; }

  static void prepare(const float* x, size_t k, void* row) {
    auto* numbers = static_cast<uint8_t*>(row);
    auto* groups = reinterpret_cast<GroupOfRow*>(numbers + k);
    for (size_t j = 0; j < k; j += kGroup) {
      V largest = V::zero();
      for (size_t i = 0; i < kGroup; i += V::kLanes) largest = max_magnitude(largest, V::load(x + j + i));
      groups[j / kGroup] = round_group<255, kShift>(x + j, kGroup, highest_magnitude(largest), numbers + j);
    }
  }

  static float prepare_softmax(float* scores, size_t begin, size_t end, size_t n, void* row) {
    const float scale = softmax(scores, begin, end, n, [&](size_t i, V p) GEMLET_LAMBDA { p.store(scores + i); });
    prepare(scores, n, row);
    return scale;
  }

  static void pack_columns(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
    for (size_t j = 0; j < k; j += kGroup) {
      for (size_t i = 0; i < n; i += V::kLanes) {
        uint8_t* panel = static_cast<uint8_t*>(packed) + i / kPanel * stride_panel;
        pack_group(w + j * ld + i, k - j < kGroup ? k - j : kGroup, ld, panel + j / kGroup * kGroupBytes, i % kPanel);
      }
    }
  }

  // w: [count, 16]; columns [at, at + 16) of the panel's group. What is behind row `count` is 0.
  static void pack_group(const float* w, size_t count, size_t ld, uint8_t* group, size_t at) {
    V largest = V::zero();
    for (size_t j = 0; j < count; ++j) largest = max_magnitude(largest, V::load(w + j * ld));
    const V inverse = zero_where_below(largest, kNextToNothing, div(V::broadcast(127.0f), largest));
    uint8_t numbers[kGroup][V::kLanes];
    __builtin_memset(numbers, kWeightBias, sizeof numbers);
    for (size_t j = 0; j < count; ++j)
      store_lowest_bytes(add(mul(V::load(w + j * ld), inverse), V::broadcast(kMagic + kWeightBias)), numbers[j]);

    int32_t starts[V::kLanes] = {};
    for (size_t j = 0; j < count; ++j)
      for (size_t i = 0; i < V::kLanes; ++i) starts[i] += static_cast<int32_t>(kShift) * (numbers[j][i] - kWeightBias);
    div(largest, V::broadcast(127.0f)).store(reinterpret_cast<float*>(group) + at);
    __builtin_memcpy(group + Tile::kScaleBytes + at * sizeof *starts, starts, sizeof starts);
    for (size_t j = 0; j < kGroup; ++j) {
      uint8_t* step = group + Tile::kHeadBytes + j / kUnitBytes * kStepBytes + at * kUnitBytes + j % kUnitBytes;
      for (size_t i = 0; i < V::kLanes; ++i) step[i * kUnitBytes] = numbers[j][i];
    }
  }
};

using Int8 = Int8Product<kInt8Group, kMaxInt8Width>;
using Int8Fine = Int8Product<kInt8FineGroup, kMaxInt8FineWidth>;
constexpr Gemm kInt8 = {Int8::row_bytes, Int8::panel_bytes, Int8::prepare,       nullptr,
                        Int8::pack,      nullptr,           multiply<Int8::Tile>};
constexpr Gemm kInt8Fine = {
    Int8Fine::row_bytes,     Int8Fine::panel_bytes, Int8Fine::prepare, nullptr, Int8Fine::pack, nullptr,
    multiply<Int8Fine::Tile>};
constexpr Gemm kInt8Values = {
    Int8Values::row_bytes,    Int8Values::panel_bytes,   Int8Values::prepare, Int8Values::prepare_softmax, nullptr,
    Int8Values::pack_columns, multiply<Int8Values::Tile>};
