// model.cpp - the model as a Python class.
#include "model/model.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/error.h"
#include "bind/bind.h"
#include "model/gguf.h"
#include "model/workspace.h"

namespace nb = nanobind;

namespace gemlet {
namespace {

using Ids = Input<int32_t, 1>;
using Files = std::vector<std::pair<std::string, std::string>>;

// The numbers by their names, and beside them the two lists.
Config read_config(const nb::dict& d) {
  GgufConfig config;
  for (const auto [name, value] : d) {
    const std::string field = nb::cast<std::string>(name);
    if (field == "sliding") {
      config.sliding = nb::cast<std::vector<bool>>(value);
    } else if (field == "dense") {
      config.dense = nb::cast<std::vector<size_t>>(value);
    } else {
      config.numbers[field] = nb::cast<double>(value);
    }
  }
  return to_config(config);
}

Storage to_storage(const std::string& name) {
  if (name == "f32") return Storage::kF32;
  if (name == "bf16") return Storage::kBF16;
  if (name == "int8") return Storage::kInt8;
  throw Error(Code::kInput, "storage is `" + name + "`; `f32`, `bf16` and `int8` exist");
}

const Kernels& to_kernels(const std::string& isa) {
  if (isa.empty()) return default_kernels();
  if (const Kernels* kernels = find_kernels(isa.c_str())) return *kernels;
  throw Error(Code::kInput, "this CPU cannot run the instruction set `" + isa + "`");
}

void construct(Model* self, const nb::dict& config, const Files& files, const std::string& quantization, size_t threads,
               const std::string& isa) {
  const Config c = read_config(config);
  const Storage storage = to_storage(quantization);
  const Kernels& kernels = to_kernels(isa);
  nb::gil_scoped_release nogil;
  new (self) Model(c, files, storage, kernels, threads);
}

Batch to_batch(const Ids& ids, const Ids& cu_seqlens) {
  if (cu_seqlens.shape(0) == 0 || cu_seqlens.data()[cu_seqlens.shape(0) - 1] != static_cast<int64_t>(ids.shape(0)))
    throw Error(Code::kInput, "cu_seqlens does not end at the number of input_ids");
  return {ids.data(), cu_seqlens.data(), cu_seqlens.shape(0) - 1};
}

Array<float> embed(const Model& model, const Ids& ids, const Ids& cu_seqlens) {
  const Batch batch = to_batch(ids, cu_seqlens);
  auto out = new_array<float>({batch.sequences, model.config().embedding_size()});
  nb::gil_scoped_release nogil;
  model.embed(batch, out.data());
  return out;
}

nb::dict profile(const Model& model, const Ids& ids, const Ids& cu_seqlens) {
  const Batch batch = to_batch(ids, cu_seqlens);
  std::vector<float> out(batch.sequences * model.config().embedding_size());
  std::vector<double> seconds;
  {
    nb::gil_scoped_release nogil;
    model.embed(batch, out.data(), &seconds);
  }
  static constexpr const char* kNames[] = {"embedding", "rows", "linears", "keys and values", "scores", "head"};
  static_assert(std::size(kNames) == kStages);
  nb::dict stages;
  for (size_t i = 0; i < seconds.size(); ++i) stages[kNames[i]] = seconds[i];
  return stages;
}

std::vector<std::vector<double>> mean_squares(const Model& model, const Ids& ids, const Ids& cu_seqlens) {
  const Batch batch = to_batch(ids, cu_seqlens);
  nb::gil_scoped_release nogil;
  return model.mean_squares(batch);
}

Array<float> token_embeddings(const Model& model, const Ids& ids, const Ids& cu_seqlens) {
  const Batch batch = to_batch(ids, cu_seqlens);
  auto out = new_array<float>({ids.shape(0), model.config().hidden_size});
  nb::gil_scoped_release nogil;
  model.token_embeddings(batch, out.data());
  return out;
}

Array<float> hidden_states(const Model& model, const Ids& ids, const Ids& cu_seqlens, size_t layers) {
  const Batch batch = to_batch(ids, cu_seqlens);
  auto out = new_array<float>({ids.shape(0), model.config().hidden_size});
  nb::gil_scoped_release nogil;
  model.hidden_states(batch, layers, out.data());
  return out;
}

}  // namespace

void bind_model(nb::module_& m) {
  nb::class_<Model>(m, "Model")
      .def("__init__", construct, nb::arg("config"), nb::arg("files"), nb::arg("storage"), nb::arg("threads"),
           nb::arg("isa") = "")
      .def_prop_ro("threads", &Model::threads)
      .def_prop_ro("isa", [](const Model& model) { return std::string(model.kernels().name); })
      .def("embed", embed, nb::arg("input_ids"), nb::arg("cu_seqlens"))
      .def("profile", profile, nb::arg("input_ids"), nb::arg("cu_seqlens"))
      .def("mean_squares", mean_squares, nb::arg("input_ids"), nb::arg("cu_seqlens"),
           "Return for qkv, o, gate_up and down of each layer the mean over the tokens of the square of each input. "
           "Raises InputError unless the storage is \"bf16\".")
      .def("token_embeddings", token_embeddings, nb::arg("input_ids"), nb::arg("cu_seqlens"))
      .def("hidden_states", hidden_states, nb::arg("input_ids"), nb::arg("cu_seqlens"), nb::arg("layers"));
}

}  // namespace gemlet
