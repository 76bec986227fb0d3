// kernels.cpp - each kernel of each ISA, callable on its own: for tests and benchmarks.   (chapter 6)
#include "kernels/kernels.h"

#include <nanobind/stl/string.h>

#include <cstring>

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
  expect(x.shape(0) % 16 == 0 && begin < end && end <= x.shape(0));
  auto y = copy(x);
  table(isa).softmax(y.data(), begin, end, x.shape(0));
  return y;
}

Array<float> gelu_tanh_mul(const std::string& isa, const Row& gate, const Row& up) {
  expect(gate.shape(0) % 16 == 0 && up.shape(0) == gate.shape(0));
  auto y = copy(gate);
  table(isa).gelu_tanh_mul(y.data(), up.data(), gate.shape(0));
  return y;
}

Array<float> mean_rows(const std::string& isa, const Matrix& x) {
  expect(x.shape(1) % 16 == 0 && x.shape(0) > 0);
  auto y = new_array<float>({x.shape(1)});
  table(isa).mean_rows(x.data(), x.shape(0), x.shape(1), y.data());
  return y;
}

Array<float> gemm(const std::string& isa, const Matrix& x, const Matrix& w, bool bf16) {
  const size_t rows = x.shape(0), k = x.shape(1), n = w.shape(0);
  expect(n % kWidthUnit == 0 && w.shape(1) == k);
  const Gemm& gemm = bf16 ? table(isa).gemm_bf16 : table(isa).gemm_f32;
  Buffer<uint8_t> packed(n * k * gemm.bytes);
  gemm.pack(w.data(), n, k, k, 1, packed.data(), k * gemm.panel);
  auto y = new_array<float>({rows, n});
  gemm.multiply(x.data(), rows, k, packed.data(), n / gemm.panel, k, k * gemm.panel, y.data(), n);
  return y;
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
}

}  // namespace gemlet
