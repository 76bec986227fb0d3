// gemm.inl - the packed matrix product, once for all ISAs and number types.
//
// Included by each ISA file inside its own namespace, behind V (16 lanes of f32), I (16 lanes of int32), U (16 units of
// 4 bytes), the products dot_f32, dot_bf16 and dot_int8, and the sizes of the register tiles.

#include "kernels/rows.inl"

constexpr size_t kUnitBytes = 4;
constexpr size_t kStepBytes = kPanel * kUnitBytes;
constexpr size_t kVectorBytes = V::kLanes * kUnitBytes;
constexpr size_t kPanelVectors = kPanel / V::kLanes;
static_assert(kPanelVectors % kTileVectors == 0);

static constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

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
  template <typename S, typename F>
  GEMLET_INLINE void each(Registers<S, kCount>& other, F f) {
    before.each(other.before, f);
    f(kCount - 1, last, other.last);
  }
};
template <typename R>
struct Registers<R, 0> {
  template <typename F>
  GEMLET_INLINE void each(F) {}
  template <typename S, typename F>
  GEMLET_INLINE void each(Registers<S, 0>&, F) {}
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
template <typename Tile, size_t kRows, typename... Args>
static void run_tile(size_t rows, Args... args) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return Tile::template run<kRows>(args...);
    run_tile<Tile, kRows - 1>(rows, args...);
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
