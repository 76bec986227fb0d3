// kernels.h - the one table through which the model reaches the CPU.   (chapter 2: every inner loop)
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

// A matrix product y[rows, n] = x[rows, k] * w[n, k]^T over weights packed for one ISA in one storage type.
// Packed: panels of `panel` outputs, each [k][panel]. Each output is one chain of f32 fused (portable: separate)
// multiply-adds over ascending k, so it depends on its own row alone, never on `rows`.
struct Gemm {
  size_t panel;      // outputs in one panel; divides kWidthUnit
  size_t tile_rows;  // rows computed together; rows given in multiples of it are quickest
  size_t bytes;      // of one stored weight

  // Packs outputs [0, n) into ceil(n / panel) panels at `packed`. Weight (i, j) is w[i * stride_n + j * stride_k];
  // outputs past n are zero. stride_panel: elements from one panel to the next, >= k * panel.
  void (*pack)(const float* w, size_t n, size_t k, size_t stride_n, size_t stride_k, void* packed, size_t stride_panel);

  // x: rows at distance ldx. y: rows at distance ldy; panels * panel columns of it are written.
  void (*multiply)(const float* x, size_t rows, size_t ldx, const void* packed, size_t panels, size_t k,
                   size_t stride_panel, float* y, size_t ldy);
};

struct Kernels {
  const char* name;     // "avx2"
  int rank;             // higher is preferred
  bool (*supported)();  // may this CPU run it?

  Gemm gemm_f32;
  Gemm gemm_bf16;  // weights rounded to bf16 when packed, widened exactly when used

  // y = weight * x / sqrt(mean(x^2) + eps).  x, y, weight: [n]; weight is 1 + the checkpoint's. Source: Gemma3RMSNorm.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* y);

  // residual += rms_norm(x): the second half of Gemma 3's sandwich.
  void (*add_rms_norm)(const float* x, const float* weight, float eps, size_t n, float* residual);

  // In place: x * cos + rotate_half(x) * sin, times scale. x: [n]; cos, sin: [n / 2]; element i pairs with i + n / 2.
  void (*rope)(float* x, const float* cos, const float* sin, float scale, size_t n);

  // In place: softmax over scores[begin, end); the rest of scores[0, n) becomes 0. begin < end <= n, n % 16 == 0.
  void (*softmax)(float* scores, size_t begin, size_t end, size_t n);

  // In place: gate = gelu_tanh(gate) * up. Source: config hidden_activation "gelu_pytorch_tanh".
  void (*gelu_tanh_mul)(float* gate, const float* up, size_t n);

  // In place: x * scale.
  void (*scale)(float* x, float scale, size_t n);

  // y = mean over rows of x: [rows, n], added up in row order.
  void (*mean_rows)(const float* x, size_t rows, size_t n, float* y);
};

const Kernels& default_kernels();                      // the best for this CPU, or the one that $GEMLET_ISA names
const Kernels* find_kernels(const char* name);         // null when there is none or this CPU cannot run it
size_t list_kernels(const Kernels** out, size_t max);  // those that this CPU can run

}  // namespace gemlet
