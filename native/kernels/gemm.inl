// gemm.inl - the packed matrix product, once for all ISAs and stored weight types.   (chapter 2)
//
// Included by each ISA file inside its own namespace, after V, kTileRows and kTileVectors. A register tile is
// kTileRows rows x kTileVectors vectors of outputs; a panel is as wide as the tile.

constexpr size_t kPanel = kTileVectors * V::kLanes;
static_assert(kWidthUnit % kPanel == 0);

static void put(float* to, float value) { *to = value; }

// bf16, rounded to nearest, ties to even.
static void put(uint16_t* to, float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  *to = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename Stored>
static void pack(const float* w, size_t n, size_t k, size_t stride_n, size_t stride_k, void* packed,
                 size_t stride_panel) {
  for (size_t first = 0; first < n; first += kPanel) {
    Stored* panel = static_cast<Stored*>(packed) + first / kPanel * stride_panel;
    const size_t live = n - first < kPanel ? n - first : kPanel;
    for (size_t j = 0; j < k; ++j) {
      const float* column = w + first * stride_n + j * stride_k;
      for (size_t i = 0; i < live; ++i) put(panel + j * kPanel + i, column[i * stride_n]);
      for (size_t i = live; i < kPanel; ++i) panel[j * kPanel + i] = 0;
    }
  }
}

template <typename Stored, size_t kRows>
static void multiply_tile(const float* x, size_t ldx, const Stored* panel, size_t k, float* y, size_t ldy) {
  V acc[kRows][kTileVectors];
  for (size_t r = 0; r < kRows; ++r)
    for (size_t v = 0; v < kTileVectors; ++v) acc[r][v] = V::zero();
  for (size_t j = 0; j < k; ++j) {
    V w[kTileVectors];
    for (size_t v = 0; v < kTileVectors; ++v) w[v] = V::load(panel + j * kPanel + v * V::kLanes);
    for (size_t r = 0; r < kRows; ++r) {
      const V a = V::broadcast(x[r * ldx + j]);
      for (size_t v = 0; v < kTileVectors; ++v) acc[r][v] = multiply_add(a, w[v], acc[r][v]);
    }
  }
  for (size_t r = 0; r < kRows; ++r)
    for (size_t v = 0; v < kTileVectors; ++v) acc[r][v].store(y + r * ldy + v * V::kLanes);
}

// The last, smaller tile: one instance for each number of rows left.
template <typename Stored, size_t kRows>
static void multiply_rest(size_t rows, const float* x, size_t ldx, const Stored* panel, size_t k, float* y,
                          size_t ldy) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return multiply_tile<Stored, kRows>(x, ldx, panel, k, y, ldy);
    multiply_rest<Stored, kRows - 1>(rows, x, ldx, panel, k, y, ldy);
  }
}

template <typename Stored>
static void multiply(const float* x, size_t rows, size_t ldx, const void* packed, size_t panels, size_t k,
                     size_t stride_panel, float* y, size_t ldy) {
  for (size_t p = 0; p < panels; ++p) {
    const Stored* panel = static_cast<const Stored*>(packed) + p * stride_panel;
    size_t r = 0;
    for (; r + kTileRows <= rows; r += kTileRows)
      multiply_tile<Stored, kTileRows>(x + r * ldx, ldx, panel, k, y + r * ldy + p * kPanel, ldy);
    multiply_rest<Stored, kTileRows - 1>(rows - r, x + r * ldx, ldx, panel, k, y + r * ldy + p * kPanel, ldy);
  }
}

template <typename Stored>
constexpr Gemm gemm() {
  return {kPanel, kTileRows, sizeof(Stored), pack<Stored>, multiply<Stored>};
}

#define GEMLET_TABLE(name, rank, supported)                                                                       \
  extern const Kernels table;                                                                                     \
  const Kernels table {                                                                                           \
    name, rank, supported, gemm<float>(), gemm<uint16_t>(), rms_norm, add_rms_norm, rope, softmax, gelu_tanh_mul, \
        scale, mean_rows                                                                                          \
  }
