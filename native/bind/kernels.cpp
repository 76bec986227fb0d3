// kernels.cpp - each kernel of each ISA, callable on its own: for tests and benchmarks.
#include "kernels/kernels.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "bind/bind.h"

namespace nb = nanobind;

namespace gemlet {
namespace {

using Row = Input<float, 1>;
using Matrix = Input<float, 2>;

const Kernels& table(const std::string& isa) {
  if (const Kernels* kernels = find_kernels(isa.c_str())) return *kernels;
  throw Error(Code::kInput, "this CPU cannot run the instruction set `" + isa + "`");
}

void expect(bool fits) {
  if (!fits) throw Error(Code::kInput, "the arrays do not fit together, or a width is no multiple of the kernel's");
}

Array<float> copy(const Row& x) {
  auto y = new_array<float>({x.shape(0)});
  std::memcpy(y.data(), x.data(), x.nbytes());
  return y;
}

Array<float> rms_norm(const std::string& isa, const Row& x, const Row& weight, float eps) {
  expect(x.shape(0) % 16 == 0 && weight.shape(0) == x.shape(0));
  auto y = new_array<float>({x.shape(0)});
  table(isa).rms_norm(x.data(), weight.data(), eps, x.shape(0), y.data());
  return y;
}

Array<float> add_rms_norm(const std::string& isa, const Row& x, const Row& weight, float eps, const Row& residual) {
  expect(x.shape(0) % 16 == 0 && weight.shape(0) == x.shape(0) && residual.shape(0) == x.shape(0));
  auto y = copy(residual);
  table(isa).add_rms_norm(x.data(), weight.data(), eps, x.shape(0), y.data());
  return y;
}

Array<float> rope(const std::string& isa, const Row& x, const Row& cos, const Row& sin, float scale) {
  expect(x.shape(0) % 32 == 0 && cos.shape(0) == x.shape(0) / 2 && sin.shape(0) == x.shape(0) / 2);
  auto y = copy(x);
  table(isa).rope(y.data(), cos.data(), sin.data(), scale, x.shape(0));
  return y;
}

Array<float> softmax(const std::string& isa, const Row& x, size_t begin, size_t end) {
  expect(x.shape(0) % 32 == 0 && begin < end && end <= x.shape(0));
  auto scores = copy(x), y = new_array<float>({x.shape(0)});
  const float scale = table(isa).f32.prepare_softmax(scores.data(), begin, end, x.shape(0), y.data());
  table(isa).scale(y.data(), scale, x.shape(0), y.data());
  return y;
}

Array<float> gelu_tanh_mul(const std::string& isa, const Row& gate, const Row& up) {
  expect(gate.shape(0) % 16 == 0 && up.shape(0) == gate.shape(0));
  auto y = new_array<float>({gate.shape(0)});
  table(isa).gelu_tanh_mul(gate.data(), up.data(), gate.shape(0), y.data());
  return y;
}

Array<float> mean_rows(const std::string& isa, const Matrix& x) {
  expect(x.shape(1) % 16 == 0 && x.shape(0) > 0);
  auto y = new_array<float>({x.shape(1)});
  table(isa).mean_rows(x.data(), x.shape(0), x.shape(1), y.data());
  return y;
}

const Gemm& gemm_of(const std::string& isa, const std::string& type) {
  const Kernels& kernels = table(isa);
  if (type == "f32") return kernels.f32;
  if (type == "bf16") return kernels.bf16;
  if (type == "int8") return kernels.int8;
  if (type == "int8_fine") return kernels.int8_fine;
  if (type == "int8_values") return kernels.int8_values;
  throw Error(Code::kInput, "no matrix product has the type `" + type + "`");
}

size_t longest_row(const std::string& type) {
  return type == "int8"          ? kMaxInt8Width
         : type == "int8_fine"   ? kMaxInt8FineWidth
         : type == "int8_values" ? kMaxInt8Values
                                 : kMaxWidth;
}

Buffer<uint8_t> prepared_rows(const Gemm& gemm, const Matrix& x) {
  const size_t k = x.shape(1), stride = gemm.row_bytes(k);
  Buffer<uint8_t> rows(x.shape(0) * stride);
  for (size_t r = 0; r < x.shape(0); ++r) gemm.prepare(x.data() + r * k, k, rows.data() + r * stride);
  return rows;
}

// x: [rows, k], w: [n, k].
Array<float> gemm(const std::string& isa, const std::string& type, const Matrix& x, const Matrix& w) {
  const size_t rows = x.shape(0), k = x.shape(1), n = w.shape(0);
  expect(n % kPanel == 0 && w.shape(1) == k && k % 32 == 0 && k <= longest_row(type));
  const Gemm& gemm = gemm_of(isa, type);
  expect(gemm.pack);
  const size_t panel = gemm.panel_bytes(k);
  Buffer<uint8_t> packed(n / kPanel * panel), prepared = prepared_rows(gemm, x);
  gemm.pack(w.data(), n, k, k, packed.data(), panel);
  auto y = new_array<float>({rows, n});
  gemm.multiply(prepared.data(), rows, gemm.row_bytes(k), packed.data(), n / kPanel, k, panel, y.data(), n);
  return y;
}

// x: [rows, k], columns: [m, n], the first m of k; the rest of x is zero. As attention multiplies with values.
Array<float> gemm_columns(const std::string& isa, const std::string& type, const Matrix& x, const Matrix& columns) {
  const size_t rows = x.shape(0), k = x.shape(1), m = columns.shape(0), n = columns.shape(1);
  const Gemm& gemm = gemm_of(isa, type);
  expect(gemm.pack_columns && n % kPanel == 0 && k % kKeyUnit == 0 && m <= k && k <= longest_row(type));
  const size_t panel = gemm.panel_bytes(k);
  Buffer<uint8_t> packed(n / kPanel * panel), prepared = prepared_rows(gemm, x);
  gemm.pack_columns(columns.data(), n, m, n, packed.data(), panel);
  auto y = new_array<float>({rows, n});
  gemm.multiply(prepared.data(), rows, gemm.row_bytes(k), packed.data(), n / kPanel, m, panel, y.data(), n);
  return y;
}

// x: [rows, k]; blocks: [n, k / 32 * 18] of a file's Q4_0.
Array<float> gemm_q4_0(const std::string& isa, const Matrix& x, const Input<uint8_t, 2>& blocks) {
  const size_t rows = x.shape(0), k = x.shape(1), n = blocks.shape(0);
  expect(n % kPanel == 0 && k % kInt4Block == 0 && k <= kMaxInt8Width && blocks.shape(1) == k / kInt4Block * 18);
  const Gemm& gemm = table(isa).int4;
  const size_t panel = gemm.panel_bytes(k);
  Buffer<uint8_t> packed(n / kPanel * panel), prepared = prepared_rows(gemm, x);
  table(isa).pack_q4_0(blocks.data(), n, k, packed.data(), panel);
  auto y = new_array<float>({rows, n});
  gemm.multiply(prepared.data(), rows, gemm.row_bytes(k), packed.data(), n / kPanel, k, panel, y.data(), n);
  return y;
}

// query: [n] int16, codes: [rows, n].
Array<int32_t> dot_int8(const std::string& isa, const Input<int16_t, 1>& query, const Input<int8_t, 2>& codes) {
  const size_t n = codes.shape(1);
  expect(query.shape(0) == n && n % kWidthUnit == 0 && n <= kMaxWidth);
  auto products = new_array<int32_t>({codes.shape(0)});
  table(isa).dot_int8(query.data(), codes.data(), codes.shape(0), n, products.data());
  return products;
}

// query: [n / 8], bits: [rows, n / 8].
Array<uint16_t> hamming(const std::string& isa, const Input<uint8_t, 1>& query, const Input<uint8_t, 2>& bits) {
  const size_t n = bits.shape(1) * 8;
  expect(query.shape(0) * 8 == n && n % kWidthUnit == 0 && n <= kMaxWidth);
  auto distances = new_array<uint16_t>({bits.shape(0)});
  table(isa).hamming(query.data(), bits.data(), bits.shape(0), n, distances.data());
  return distances;
}

// x: [rows, n], w: [m, n]; no code is -128.
Array<int32_t> multiply_codes(const std::string& isa, const Input<int8_t, 2>& x, const Input<int8_t, 2>& w) {
  const size_t rows = x.shape(0), n = x.shape(1), m = w.shape(0), panels = (m + kPanel - 1) / kPanel;
  expect(w.shape(1) == n && n % kWidthUnit == 0 && n <= kMaxWidth);
  Buffer<uint8_t> packed(panels * kPanel * n);
  Buffer<int32_t> sums(rows);
  for (size_t r = 0; r < rows; ++r) sums.data()[r] = std::accumulate(x.data() + r * n, x.data() + (r + 1) * n, 0);
  auto products = new_array<int32_t>({rows, panels * kPanel});
  std::fill_n(products.data(), products.size(), 0);
  table(isa).pack_codes(w.data(), m, n, n, packed.data());
  table(isa).multiply_codes(x.data(), sums.data(), rows, n, packed.data(), panels, n, products.data());
  return products;
}

// How many operations it did; lets other Python threads run.
size_t spin_int8(const std::string& isa, size_t rounds) {
  const Kernels& kernels = table(isa);
  nb::gil_scoped_release nogil;
  kernels.spin_int8(rounds, static_cast<int32_t>(rounds));
  return rounds * kSpinOperations;
}

}  // namespace

void bind_kernels(nb::module_& m) {
  nb::module_ k = m.def_submodule("kernels", "Each kernel of each instruction set, for tests and benchmarks.");
  k.def("rms_norm", rms_norm);
  k.def("add_rms_norm", add_rms_norm);
  k.def("rope", rope);
  k.def("softmax", softmax);
  k.def("gelu_tanh_mul", gelu_tanh_mul);
  k.def("mean_rows", mean_rows);
  k.def("gemm", gemm);
  k.def("gemm_columns", gemm_columns);
  k.def("gemm_q4_0", gemm_q4_0);
  k.def("dot_int8", dot_int8);
  k.def("hamming", hamming);
  k.def("multiply_codes", multiply_codes);
  k.attr("largest_of_query") = nb::cpp_function(largest_of_query);
  k.def("spin_int8", spin_int8);
}

}  // namespace gemlet
