// bind.h - the parts of the compiled module.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "base/bytes.h"

namespace gemlet {

void bind_kernels(nanobind::module_& m);
void bind_tokenizer(nanobind::module_& m);
void bind_model(nanobind::module_& m);
void bind_gguf(nanobind::module_& m);
void bind_scan(nanobind::module_& m);

// A file may hold any bytes; what is not UTF-8 becomes U+FFFD.
inline nanobind::str text_of(std::string_view text) {
  const auto size = static_cast<Py_ssize_t>(text.size());
  PyObject* const decoded = PyUnicode_DecodeUTF8(text.data(), size, "replace");
  if (!decoded) throw nanobind::python_error();
  return nanobind::steal<nanobind::str>(decoded);
}

template <typename T>
using Array = nanobind::ndarray<nanobind::numpy, T>;

template <typename T, int kDims>
using Input = nanobind::ndarray<const T, nanobind::ndim<kDims>, nanobind::c_contig, nanobind::device::cpu>;

// A new NumPy array that owns its memory, not initialised.
template <typename T>
Array<T> new_array(std::initializer_list<size_t> shape) {
  size_t size = 1;
  for (size_t extent : shape) size *= extent;
  T* data = new T[size ? size : 1];
  nanobind::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return Array<T>(data, shape, owner);
}

}  // namespace gemlet
