// kernels.h - the one table through which the model reaches the CPU.   (every inner loop)
//
// Plain C types only: every ISA file includes this header with its own -m flags, so nothing inline from
// the standard library may come in (a weak copy of it, compiled for AVX-512, could end up serving the whole program).
// Kernels are single-threaded and allocate nothing. Sums over a row run in 16 virtual lanes on every ISA and fold
// in one fixed order, without fused multiply-add, so that the row kernels give the same bits on every ISA.
#pragma once
#include <cstddef>
#include <cstdint>

namespace gemlet {

// Every width that the kernels see (hidden, intermediate, head) is a multiple of this; so is a panel's start.
constexpr size_t kWidthUnit = 32;
constexpr size_t kPanel = kWidthUnit;  // outputs that lie side by side in a packed matrix
constexpr size_t kMaxWidth = 4096;     // of a row of w

// Of the int8 products: numbers of a row that share a scale, and the longest row.
constexpr size_t kInt8Group = 128, kMaxInt8Width = 1152;
constexpr size_t kInt8FineGroup = 64, kMaxInt8FineWidth = 256;
constexpr size_t kInt8ValuesGroup = 64, kMaxInt8Values = 2048;
// Keys and values begin and end at multiples of this.
constexpr size_t kKeyUnit = kInt8ValuesGroup;
constexpr size_t kInt4Block = 32;  // numbers of a row of w that share a scale in Q4_0
// Packed bytes are stored as w + 128: the instructions that multiply bytes take one of the two unsigned.
constexpr int32_t kWeightBias = 128;

// Of a search: how far from 0 the numbers of a query of n may lie, so that no sum of products with bytes leaves 32
// bits.
constexpr int32_t largest_of_query(size_t n) { return n < 512 ? INT16_MAX : static_cast<int32_t>(INT32_MAX / 128 / n); }

// bf16 numbers under this become 0. Products are then 0 or at least 2^-100 and sums multiples of 2^-114: nothing is
// ever subnormal, which some CPUs' bf16 instructions would take for 0.
constexpr float kSmallestBF16 = 0x1p-50f;

// A matrix product y[rows, n] = x[rows, k] * w[n, k]^T in one type. Both operands are brought into the type first: x
// row by row, w once. Each output depends on its own row of x and its own row of w alone, never on `rows`.
//
// Both are walked in steps of 4 bytes: one f32, two bf16 or four int8 of a row of x, against the same of 32 rows of w,
// which are packed [step][32].
struct Gemm {
  // Bytes of one row of x, and of one panel of 32 rows of w.
  size_t (*row_bytes)(size_t k);
  size_t (*panel_bytes)(size_t k);

  // x: [k]. row: row_bytes(k), at a multiple of 64.
  void (*prepare)(const float* x, size_t k, void* row);

  // row: e^(score - the largest) over scores[begin, end) and 0 elsewhere in [0, n), prepared; returns 1 / their sum.
  // scores is scratch after. begin < end <= n, n % 32 == 0, for int8_values n % 64 == 0. There is none for
  // int8, int8_fine and int4.
  float (*prepare_softmax)(float* scores, size_t begin, size_t end, size_t n, void* row);

  // Packs w[n, k] into ceil(n / 32) panels at a distance of stride_panel bytes, panel_bytes(k) or more; outputs past n
  // are zero. Element (i, j) is w[i * ld + j]; of pack_columns w[j * ld + i], n % 32 == 0. Of the int8 products,
  // int8_values has only pack_columns, int4 neither (see pack_q4_0) and the others only pack.
  void (*pack)(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel);
  void (*pack_columns)(const float* w, size_t n, size_t k, size_t ld, void* packed, size_t stride_panel);

  // x: prepared rows at a distance of stride_x bytes. y: rows at a distance of ldy; panels * 32 columns are written.
  void (*multiply)(const void* x, size_t rows, size_t stride_x, const void* packed, size_t panels, size_t k,
                   size_t stride_panel, float* y, size_t ldy);
};

// Operations of one round of spin_int8: 12 chains of 16 lanes of 4 multiplications and additions.
constexpr size_t kSpinOperations = 12 * 16 * 4 * 2;

struct Kernels {
  const char* name;     // "avx2"
  int rank;             // higher is preferred
  bool (*supported)();  // may this CPU run it?

  Gemm f32;        // one chain of fused (portable: separate) multiply-adds over ascending k
  Gemm bf16;       // both rounded to bf16, exact products, added up in f32; the same bits on every ISA
  Gemm int8;       // both rotated, then rounded to int8 with one scale for 128; exact sums of those; the same bits too
  Gemm int8_fine;  // with one scale for 64: of queries and keys
  // Of softmax and values: nothing is rotated, x is not negative and rounded to 0..255 with one scale for 64 (k is a
  // multiple of that), w to int8 with one for 64 as well. The same bits everywhere.
  Gemm int8_values;
  Gemm int4;  // both in blocks of 32: x rounded to int8, w as a file's Q4_0 has it; the same bits everywhere

  // What stands in for int4.pack. blocks: [n, k / 32] of ggml's Q4_0, 18 bytes each; n, k: multiples of 32.
  void (*pack_q4_0)(const uint8_t* blocks, size_t n, size_t k, void* packed, size_t stride_panel);

  // y = weight * x / sqrt(mean(x^2) + eps).  x, y, weight: [n]; weight is 1 + the checkpoint's. Source: Gemma3RMSNorm.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* y);

  // residual += rms_norm(x): the second half of Gemma 3's sandwich.
  void (*add_rms_norm)(const float* x, const float* weight, float eps, size_t n, float* residual);

  // In place: x * cos + rotate_half(x) * sin, times scale. x: [n]; cos, sin: [n / 2]; element i pairs with i + n / 2.
  void (*rope)(float* x, const float* cos, const float* sin, float scale, size_t n);

  // y = gelu_tanh(gate) * up. Source: config hidden_activation "gelu_pytorch_tanh".
  void (*gelu_tanh_mul)(const float* gate, const float* up, size_t n, float* y);

  // y = x * scale; may be in place.
  void (*scale)(const float* x, float scale, size_t n, float* y);

  // y = mean over rows of x: [rows, n], added up in row order.
  void (*mean_rows)(const float* x, size_t rows, size_t n, float* y);

  // One query against rows that lie end to end, for search: exact integers. n is a multiple of kWidthUnit, kMaxWidth or
  // less; nothing need be aligned.
  //
  // products[r] = query . codes[r].  query: [n], no number beyond largest_of_query(n); codes: [rows, n].
  void (*dot_int8)(const int16_t* query, const int8_t* codes, size_t rows, size_t n, int32_t* products);
  // distances[r] = how many bits of query and bits[r] differ.  query: [n / 8]; bits: [rows, n / 8].
  void (*hamming)(const uint8_t* query, const uint8_t* bits, size_t rows, size_t n, uint16_t* distances);

  // Many rows against many, for pairs: exact integers. No code is -128; k is a multiple of kWidthUnit, kMaxWidth or
  // less.
  //
  // Packs the first k codes of n rows at a distance of `stride` into ceil(n / 32) panels of k * 32 bytes; rows past n
  // are zero.
  void (*pack_codes)(const int8_t* codes, size_t n, size_t stride, size_t k, void* packed);
  // products[r, c] += x[r] . w[c].  x: rows at a distance of stride_x, sums[r]: of the k codes of row r; products: rows
  // at a distance of `panels` * 32.
  void (*multiply_codes)(const int8_t* x, const int32_t* sums, size_t rows, size_t stride_x, const void* packed,
                         size_t panels, size_t k, int32_t* products);

  // For benchmarks: kSpinOperations * rounds operations on bytes that nothing holds up; the result means nothing.
  float (*spin_int8)(size_t rounds, int32_t seed);
};

const Kernels& default_kernels();                      // the best for this CPU, or the one that $GEMLET_ISA names
const Kernels* find_kernels(const char* name);         // null when there is none or this CPU cannot run it
size_t list_kernels(const Kernels** out, size_t max);  // those that this CPU can run

}  // namespace gemlet
