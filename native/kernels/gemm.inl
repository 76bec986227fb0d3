// gemm.inl - the packed matrix product, once for all ISAs and number types.   (chapter 2)
//
// Included by each ISA file inside its own namespace, behind V (16 lanes of f32), I (16 lanes of int32), U (16 units of
// 4 bytes), the products dot_f32, dot_bf16 and dot_int8, and the sizes of the register tiles.

constexpr size_t kUnitBytes = 4;
constexpr size_t kStepBytes = kPanel * kUnitBytes;
constexpr size_t kVectorBytes = V::kLanes * kUnitBytes;
constexpr size_t kPanelVectors = kPanel / V::kLanes;
static_assert(kPanelVectors % kTileVectors == 0);

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// kCount registers. An array would be indexed by a loop's variable, and GCC unrolls such loops after it has decided
// that the array lives in memory: the accumulators would be stored and loaded at every step.
template <typename R, size_t kCount>
struct Registers {
  Registers<R, kCount - 1> before;
  R last;

  template <typename F>
  GEMLET_INLINE void each(F f) {
    before.each(f);
    f(kCount - 1, last);
  }
};
template <typename R>
struct Registers<R, 0> {
  template <typename F>
  GEMLET_INLINE void each(F) {}
};

// What the tiles of one panel fetch of the next one, each its part: `stride` bytes at each step. With many tiles the
// hardware has the time to do it alone.
struct Fetch {
  const uint8_t* next;
  size_t stride;
};

// acc[row, vector] += the product of `steps` steps. x, w: at the first step.
template <auto kDot, size_t kRows, typename Acc>
GEMLET_INLINE void accumulate(Registers<Acc, kRows * kTileVectors>& acc, const uint8_t* x, size_t stride_x,
                              const uint8_t* w, size_t steps, Fetch& fetch) {
  for (size_t s = 0; s < steps; ++s, x += kUnitBytes, w += kStepBytes) {
    __builtin_prefetch(fetch.next);
    fetch.next += fetch.stride;
    U weights[kTileVectors];
    for (size_t v = 0; v < kTileVectors; ++v) weights[v] = U::load(w + v * kVectorBytes);
    acc.each([&](size_t i, Acc& a) GEMLET_LAMBDA {
      a = kDot(a, weights[i % kTileVectors], U::broadcast(x + i / kTileVectors * stride_x));
    });
  }
}

// f32 and bf16: one sum over all of k. kNumbers: of one unit.
template <auto kDot, size_t kNumbers, size_t kMaxRows>
struct FloatTile {
  static constexpr size_t kTileRows = kMaxRows;

  template <size_t kRows>
  static void run(const uint8_t* x, size_t stride_x, const uint8_t* w, size_t k, Fetch fetch, float* y, size_t ldy) {
    Registers<V, kRows * kTileVectors> acc;
    acc.each([](size_t, V& a) GEMLET_LAMBDA { a = V::zero(); });
    accumulate<kDot, kRows>(acc, x, stride_x, w, (k + kNumbers - 1) / kNumbers, fetch);
    acc.each([&](size_t i, V& a) GEMLET_LAMBDA { a.store(y + i / kTileVectors * ldy + i % kTileVectors * V::kLanes); });
  }
};

// One instance for each number of rows.
template <typename Tile, size_t kRows>
static void run_tile(size_t rows, const uint8_t* x, size_t stride_x, const uint8_t* w, size_t k, Fetch fetch, float* y,
                     size_t ldy) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return Tile::template run<kRows>(x, stride_x, w, k, fetch, y, ldy);
    run_tile<Tile, kRows - 1>(rows, x, stride_x, w, k, fetch, y, ldy);
  }
}

// The rows that are computed together differ by one at most.
template <typename Tile>
static void multiply(const void* x, size_t rows, size_t stride_x, const void* packed, size_t panels, size_t k,
                     size_t stride_panel, float* y, size_t ldy) {
  const size_t tiles = (rows + Tile::kTileRows - 1) / Tile::kTileRows;
  for (size_t p = 0; p < panels; ++p) {
    for (size_t v = 0; v < kPanelVectors; v += kTileVectors) {
      const uint8_t* w = static_cast<const uint8_t*>(packed) + p * stride_panel + v * kVectorBytes;
      float* column = y + p * kPanel + v * V::kLanes;
      for (size_t t = 0, r = 0; t < tiles; ++t) {
        const size_t count = rows / tiles + (t < rows % tiles);
        const Fetch fetch{w + stride_panel + t * stride_panel / tiles, kStepBytes / tiles};
        run_tile<Tile, Tile::kTileRows>(count, static_cast<const uint8_t*>(x) + r * stride_x, stride_x, w, k, fetch,
                                        column + r * ldy, ldy);
        r += count;
      }
    }
  }
}

// f32.

static size_t f32_row_bytes(size_t k) { return round_up(k * sizeof(float), 64); }
static size_t f32_panel_bytes(size_t k) { return k * kStepBytes; }

static void f32_prepare(const float* x, size_t k, void* row) { __builtin_memcpy(row, x, k * sizeof(float)); }

static float f32_prepare_softmax(float* scores, size_t begin, size_t end, size_t n, void* row) {
  auto* to = static_cast<float*>(row);
  return softmax(scores, begin, end, n, [&](size_t i, V p) GEMLET_LAMBDA { p.store(to + i); });
}

static void f32_pack(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
  for (size_t i = 0; i < round_up(n, kPanel); ++i) {
    auto* to = reinterpret_cast<float*>(static_cast<uint8_t*>(packed) + i / kPanel * stride_panel) + i % kPanel;
    for (size_t j = 0; j < k; ++j) to[j * kPanel] = i < n ? w[i * ld + j] : 0;
  }
}

static void f32_pack_columns(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
  for (size_t p = 0; p < n / kPanel; ++p) {
    uint8_t* panel = static_cast<uint8_t*>(packed) + p * stride_panel;
    for (size_t j = 0; j < k; ++j) __builtin_memcpy(panel + j * kStepBytes, w + j * ld + p * kPanel, kStepBytes);
  }
}

// bf16. Numbers under 2^-50 become 0: products are then at least 2^-100 or 0 and sums multiples of 2^-114, so that
// nothing is ever subnormal, which some CPUs' bf16 instructions would take for 0.

static size_t bf16_row_bytes(size_t k) { return round_up(k * sizeof(uint16_t), 64); }
static size_t bf16_panel_bytes(size_t k) { return (k + 1) / 2 * kStepBytes; }

static void bf16_prepare(const float* x, size_t k, void* row) {
  auto* to = static_cast<uint16_t*>(row);
  for (size_t j = 0; j < k; j += V::kLanes) store_bf16(V::load(x + j), to + j);
}

static float bf16_prepare_softmax(float* scores, size_t begin, size_t end, size_t n, void* row) {
  auto* to = static_cast<uint16_t*>(row);
  return softmax(scores, begin, end, n, [&](size_t i, V p) GEMLET_LAMBDA { store_bf16(p, to + i); });
}

static void bf16_pack(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
  alignas(64) uint16_t row[kMaxWidth];
  for (size_t i = 0; i < round_up(n, kPanel); ++i) {
    if (i < n) {
      bf16_prepare(w + i * ld, k, row);
    } else {
      __builtin_memset(row, 0, sizeof row);
    }
    uint8_t* to = static_cast<uint8_t*>(packed) + i / kPanel * stride_panel + i % kPanel * kUnitBytes;
    for (size_t j = 0; j < k; j += 2) __builtin_memcpy(to + j / 2 * kStepBytes, row + j, kUnitBytes);
  }
}

static void bf16_pack_columns(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
  for (size_t j = 0; j < k; j += 2) {
    for (size_t i = 0; i < n; i += V::kLanes) {
      const V even = V::load(w + j * ld + i), odd = j + 1 < k ? V::load(w + (j + 1) * ld + i) : V::zero();
      uint8_t* panel = static_cast<uint8_t*>(packed) + i / kPanel * stride_panel;
      pair_bf16(even, odd).store(panel + j / 2 * kStepBytes + i % kPanel * kUnitBytes);
    }
  }
}

// int8. A row is cut into groups of 128 (the last may be shorter), each with a scale of its own. Before it is rounded,
// every block of 32 is multiplied by the Hadamard matrix of +1 and -1, which spreads a few large numbers over all 32
// and cancels in the product: (H x) . (H w) = 32 x . w.

constexpr size_t kGroup = 128;
constexpr size_t kRotated = 32;
static_assert(kWidthUnit % kRotated == 0 && kGroup % kRotated == 0);

static size_t groups_of(size_t k) { return (k + kGroup - 1) / kGroup; }

// What follows the k bytes of a prepared row, for each group.
struct GroupOfRow {
  float scale;
  int32_t start;  // of the sum: minus what the weights' bias adds to it
};

// The same for every k: the tile's rows lie at constant distances then, which takes no registers.
constexpr size_t kInt8RowBytes = 1280;
static_assert(kMaxInt8Width + kMaxInt8Width / kGroup * sizeof(GroupOfRow) <= kInt8RowBytes);
static size_t int8_row_bytes(size_t) { return kInt8RowBytes; }

// For each group [32] f32 scales, then its steps.
constexpr size_t kScaleBytes = kPanel * sizeof(float);
static size_t int8_panel_bytes(size_t k) { return groups_of(k) * kScaleBytes + k * kPanel; }

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

// To int8, nearest, ties to even: adding 1.5 * 2^23 leaves the integer in the lowest byte.
GEMLET_INLINE GroupOfRow round_group(const float* rotated, size_t n, float largest, uint8_t* out) {
  const V inverse = V::broadcast(largest > 0 ? 127.0f / largest : 0.0f), magic = V::broadcast(12582912.0f);
  V total = V::zero();
  for (size_t j = 0; j < n; j += V::kLanes) {
    const V rounded = add(mul(V::load(rotated + j), inverse), magic);
    store_lowest_bytes(rounded, out + j);
    if constexpr (kUnsignedWeights) total = add(total, sub(rounded, magic));
  }
  const float whole = kUnsignedWeights ? sum(total) : 0;  // at most 128 * 127, or NaN
  return {largest / 127.0f, whole == whole ? -kWeightBias * static_cast<int32_t>(whole) : 0};
}

// All groups are rotated before the first is rounded: rounding waits for the largest of its group, and the next group
// fills that wait. The loops of a whole group have a constant length.
static void int8_round_row(const float* x, size_t k, uint8_t* numbers, GroupOfRow* groups) {
  alignas(64) float rotated[kMaxInt8Width];
  float largest[kMaxInt8Width / kGroup];
  const size_t whole = k / kGroup, rest = k % kGroup;
  for (size_t g = 0; g < whole; ++g) largest[g] = rotate_group(x + g * kGroup, kGroup, rotated + g * kGroup);
  if (rest) largest[whole] = rotate_group(x + whole * kGroup, rest, rotated + whole * kGroup);
  for (size_t g = 0; g < whole; ++g)
    groups[g] = round_group(rotated + g * kGroup, kGroup, largest[g], numbers + g * kGroup);
  if (rest) groups[whole] = round_group(rotated + whole * kGroup, rest, largest[whole], numbers + whole * kGroup);
}

static void int8_prepare(const float* x, size_t k, void* row) {
  auto* numbers = static_cast<uint8_t*>(row);
  int8_round_row(x, k, numbers, reinterpret_cast<GroupOfRow*>(numbers + k));
}

static void int8_pack(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel) {
  uint8_t numbers[kMaxInt8Width];
  GroupOfRow groups[kMaxInt8Width / kGroup];
  for (size_t i = 0; i < n; ++i) {
    int8_round_row(w + i * ld, k, numbers, groups);
    for (size_t b = 0; b < k; ++b) numbers[b] = static_cast<uint8_t>(numbers[b] + kWeightBias);
    uint8_t* panel = static_cast<uint8_t*>(packed) + i / kPanel * stride_panel;
    for (size_t j = 0; j < k; j += kGroup) {
      const size_t count = k - j < kGroup ? k - j : kGroup;
      const float scale = groups[j / kGroup].scale / kRotated;
      __builtin_memcpy(panel + i % kPanel * sizeof scale, &scale, sizeof scale);
      panel += kScaleBytes;
      uint8_t* to = panel + i % kPanel * kUnitBytes;
      for (size_t b = 0; b < count; b += kUnitBytes) __builtin_memcpy(to + b * kPanel, numbers + j + b, kUnitBytes);
      panel += count * kPanel;
    }
  }
}

template <size_t kMaxRows>
struct Int8Tile {
  static constexpr size_t kTileRows = kMaxRows;

  template <size_t kRows>
  static void run(const uint8_t* x, size_t, const uint8_t* w, size_t k, Fetch fetch, float* y, size_t ldy) {
    const uint8_t* groups = x + k;
    for (size_t r = 0; r < kRows; ++r)
      for (size_t v = 0; v < kTileVectors; ++v) __builtin_prefetch(y + r * ldy + v * V::kLanes, 1);
    for (size_t j = 0; j < k; j += kGroup, groups += sizeof(GroupOfRow)) {
      const size_t count = k - j < kGroup ? k - j : kGroup;
      const auto group_of = [&](size_t i) GEMLET_LAMBDA {
        return reinterpret_cast<const GroupOfRow*>(groups + i / kTileVectors * kInt8RowBytes);
      };
      Registers<I, kRows * kTileVectors> acc;
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA { a = I::broadcast(&group_of(i)->start); });
      accumulate<dot_int8, kRows>(acc, x + j, kInt8RowBytes, w + kScaleBytes, count / kUnitBytes, fetch);
      V scales[kTileVectors];
      for (size_t v = 0; v < kTileVectors; ++v)
        scales[v] = V::load(reinterpret_cast<const float*>(w + v * kVectorBytes));
      acc.each([&](size_t i, I& a) GEMLET_LAMBDA {
        float* to = y + i / kTileVectors * ldy + i % kTileVectors * V::kLanes;
        const V part = mul(mul(to_float(a), V::broadcast(group_of(i)->scale)), scales[i % kTileVectors]);
        (j == 0 ? part : add(V::load(to), part)).store(to);
      });
      w += kScaleBytes + count * kPanel;
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
constexpr Gemm kInt8 = {
    int8_row_bytes, int8_panel_bytes, int8_prepare, nullptr, int8_pack, nullptr, multiply<Int8Tile<kInt8Rows>>};

#define GEMLET_TABLE(name, rank, supported)                                                                  \
  extern const Kernels table;                                                                                \
  const Kernels table {                                                                                      \
    name, rank, supported, kF32, kBF16, kInt8, rms_norm, add_rms_norm, rope, gelu_tanh_mul, scale, mean_rows \
  }
