// module.cpp - the compiled module `gemlet._core`.   (the only room that knows Python exists)
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/error.h"
#include "bind/bind.h"
#include "kernels/kernels.h"

namespace nb = nanobind;

namespace gemlet {
namespace {

// Code → class of gemlet.errors, one row each.
const char* python_class(Code code) {
  switch (code) {
    case Code::kWeights:
      return "WeightsError";
    case Code::kUnsupported:
      return "UnsupportedModel";
    case Code::kInput:
      return "InputError";
  }
  return "GemletError";
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    const nb::object type = nb::module_::import_("gemlet.errors").attr(python_class(error.code()));
    const std::string_view text = error.what();
    const auto size = static_cast<Py_ssize_t>(text.size());  // a message may quote a damaged file
    PyErr_SetObject(type.ptr(), nb::steal(PyUnicode_DecodeUTF8(text.data(), size, "replace")).ptr());
  }
}

std::vector<std::string> isas() {
  const Kernels* all[16];
  const size_t n = list_kernels(all, 16);
  std::vector<std::string> names;
  for (size_t i = 0; i < n; ++i) names.emplace_back(all[i]->name);
  return names;
}

}  // namespace
}  // namespace gemlet

NB_MODULE(_core, m) {
  nb::register_exception_translator(gemlet::translate);
  m.def("isas", gemlet::isas, "Names of the kernel tables that this CPU can run.");
  m.def(
      "default_isa", [] { return std::string(gemlet::default_kernels().name); },
      "The table that a model takes: the best one, or the one that GEMLET_ISA names. Raises InputError.");
  gemlet::bind_kernels(m);
  gemlet::bind_tokenizer(m);
  gemlet::bind_gguf(m);
  gemlet::bind_model(m);
  gemlet::bind_scan(m);
}
