// gguf.cpp - weight files as Python sees them, and their tensors in the type of another file.
#include "weights/gguf.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "bind/bind.h"
#include "model/gguf.h"
#include "model/packed.h"
#include "text/tokenizer_gguf.h"
#include "weights/q5_k.h"
#include "weights/safetensors.h"

namespace nb = nanobind;

namespace gemlet {
namespace {

constexpr uint64_t kLongArray = 64;         // longer ones are not metadata for people
constexpr size_t kChunk = size_t{1} << 14;  // elements that are converted at a time

nb::object to_python(const GgufValue& value) {
  if (value.is_array) {
    nb::list list;
    if (value.type == GgufType::kString) {
      for (const std::string_view text : strings_of(value)) list.append(text_of(text));
    } else {
      const size_t size = value.bytes.size / std::max<uint64_t>(value.count, 1);
      for (uint64_t i = 0; i < value.count; ++i) {
        list.append(to_python({value.type, false, 1, {value.bytes.data + i * size, size}}));
      }
    }
    return list;
  }
  if (value.type == GgufType::kString) return text_of(value.bytes.text());
  if (value.type == GgufType::kBool) return nb::bool_(value.number() != 0);
  if (value.type == GgufType::kU64) return nb::int_(load<uint64_t>(value.bytes.data));
  if (value.type == GgufType::kI64) return nb::int_(load<int64_t>(value.bytes.data));
  if (value.is_integer()) return nb::int_(static_cast<int64_t>(value.number()));
  return nb::float_(value.number());
}

nb::dict shapes_of(const std::map<std::string, Tensor>& tensors) {
  nb::dict out;
  for (const auto& [name, tensor] : tensors)
    out[name.c_str()] = nb::make_tuple(name_of(tensor.dtype), nb::cast(tensor.shape));
  return out;
}

DType to_dtype(const std::string& name) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ6_K, DType::kQ5_K, DType::kQ4_0}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw Error(Code::kInput, "tensors are written as F32, BF16, Q8_0, Q6_K, Q5_K or Q4_0, not as `" + name + "`");
}

template <typename Block, bool (*kQuantize)(const float*, Block*)>
bool encode_blocks(const float* x, size_t count, uint8_t* out) {
  bool fits = true;
  for (size_t i = 0; i < count; i += Block::kSize, out += sizeof(Block)) {
    Block block{};
    fits &= kQuantize(x + i, &block);
    std::memcpy(out, &block, sizeof block);
  }
  return fits;
}

// `count` numbers as `dtype` stores them; false: one of them does not fit.
bool encode(const float* x, size_t count, DType dtype, uint8_t* out) {
  if (dtype == DType::kQ8_0) return encode_blocks<BlockQ8_0, quantize_q8_0>(x, count, out);
  if (dtype == DType::kQ6_K) return encode_blocks<BlockQ6_K, quantize_q6_k>(x, count, out);
  if (dtype == DType::kQ5_K) return encode_blocks<BlockQ5_K, quantize_q5_k>(x, count, out);
  if (dtype == DType::kQ4_0) return encode_blocks<BlockQ4_0, quantize_q4_0>(x, count, out);
  if (dtype == DType::kF32) {
    std::memcpy(out, x, count * sizeof(float));
  } else {
    for (size_t i = 0; i < count; ++i) {
      const uint16_t half = f32_to_bf16(x[i]);
      std::memcpy(out + 2 * i, &half, sizeof half);
    }
  }
  return true;
}

// How a file holds a matrix packed.
struct Packing {
  const Gemm& gemm;
  size_t max_width;
};

Packing to_packing(const std::string& type) {
  if (type == "int8") return {default_kernels().int8, kMaxInt8Width};
  if (type == "bf16") return {default_kernels().bf16, kMaxWidth};
  throw Error(Code::kInput, "files hold matrices packed as int8 or bf16, not as `" + type + "`");
}

using Factor = std::optional<Input<float, 1>>;

// A file's tensors, and the file.
struct WeightFile {
  MappedFile file;
  std::map<std::string, Tensor> tensors;

  // Rows [begin, end) in another type, each number with `add` on top, and then multiplied.
  Array<uint8_t> read(const std::string& name, const std::string& dtype_name, size_t begin, size_t end, float add,
                      const Factor& rows, const Factor& columns) const {
    const Tensor& tensor = find(name);
    const DType dtype = to_dtype(dtype_name);
    if (tensor.shape.empty() || begin > end || end > tensor.shape[0]) throw Error(Code::kInput, "no such rows");
    const size_t row = tensor.size() / std::max<size_t>(tensor.shape[0], 1);
    if (tensor.shape.back() % std::max(elements_of(dtype), elements_of(tensor.dtype))) {
      throw Error(Code::kUnsupported, file.path() + ": tensor `" + name + "` has rows of " +
                                          std::to_string(tensor.shape.back()) + ", no whole blocks of " + dtype_name);
    }
    const Factors factors = to_factors(tensor, rows, columns);
    auto out = new_array<uint8_t>({(end - begin) * row / elements_of(dtype) * bytes_of(dtype)});
    bool fits = true;
    {
      const nb::gil_scoped_release released;
      std::vector<float> x(kChunk);
      uint8_t* to = out.data();
      for (size_t at = begin * row; at < end * row;) {
        const size_t count = std::min(kChunk, end * row - at);
        read_f32(tensor, at, count, x.data());
        if (add != 0) {
          for (size_t i = 0; i < count; ++i) x[i] += add;
        }
        factors.apply(at, count, row, x.data());
        fits &= encode(x.data(), count, dtype, to);
        at += count;
        to += count / elements_of(dtype) * bytes_of(dtype);
      }
      const size_t unit = elements_of(tensor.dtype), bytes = bytes_of(tensor.dtype);
      file.drop_pages({tensor.bytes.data + begin * row / unit * bytes, (end - begin) * row / unit * bytes});
    }
    if (!fits)
      throw Error(Code::kWeights, file.path() + ": tensor `" + name + "` holds a number that " + dtype_name +
                                      " cannot: infinite, NaN or too large for a half-precision scale");
    return out;
  }

  // A matrix as the kernels want it, which is the same for each instruction set.
  Array<uint8_t> pack(const std::string& name, const std::string& type, const Factor& rows,
                      const Factor& columns) const {
    const Factors factors = to_factors(find(name), rows, columns);
    auto out = new_array<uint8_t>({packed_size(name, type)});
    const nb::gil_scoped_release released;
    pack_matrix(find(name), factors, to_packing(type).gemm, out.data());
    return out;
  }

  size_t packed_size(const std::string& name, const std::string& type) const {
    const Tensor& tensor = find(name);
    const auto [gemm, max_width] = to_packing(type);
    if (tensor.shape.size() != 2 || tensor.shape[0] % kWidthUnit || tensor.shape[1] % kWidthUnit ||
        tensor.shape[1] > max_width) {
      throw Error(Code::kUnsupported, file.path() + ": tensor `" + name +
                                          "` is no matrix that the kernels run: " + "multiples of " +
                                          std::to_string(kWidthUnit) + ", rows of up to " + std::to_string(max_width));
    }
    return packed_bytes(tensor.shape[0], tensor.shape[1], gemm);
  }

 private:
  // columns: of a matrix.
  static Factors to_factors(const Tensor& tensor, const Factor& rows, const Factor& columns) {
    if ((rows && (tensor.shape.empty() || rows->shape(0) != tensor.shape[0])) ||
        (columns && (tensor.shape.size() != 2 || columns->shape(0) != tensor.shape[1]))) {
      throw Error(Code::kInput, "one factor for each row and for each column");
    }
    return {rows ? rows->data() : nullptr, columns ? columns->data() : nullptr};
  }

  const Tensor& find(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) throw Error(Code::kWeights, file.path() + ": it has no tensor `" + name + "`");
    return found->second;
  }
};

struct Gguf : WeightFile {
  GgufFile content;
};

Gguf open_gguf(const std::string& path) {
  const nb::gil_scoped_release released;
  MappedFile file(path);
  GgufFile content = read_gguf(file.bytes(), path);
  auto tensors = content.tensors;
  return {{std::move(file), std::move(tensors)}, std::move(content)};
}

WeightFile open_safetensors(const std::string& path) {
  const nb::gil_scoped_release released;
  MappedFile file(path);
  auto tensors = read_safetensors(file.bytes(), path);
  return {std::move(file), std::move(tensors)};
}

nb::dict metadata(const Gguf& gguf) {
  nb::dict out;
  for (const auto& [key, value] : gguf.content.metadata) {
    if (value.count <= kLongArray) out[text_of(key)] = to_python(value);
  }
  return out;
}

nb::dict config(const Gguf& gguf) {
  const GgufConfig config = read_gguf_config(gguf.content, gguf.file.path());
  nb::dict out;
  for (const auto& [name, number] : config.numbers) {
    const bool whole = name != "rms_norm_eps" && name != "query_pre_attn_scalar" && !name.starts_with("rope_");
    if (whole) {
      out[name.c_str()] = static_cast<uint64_t>(number);
    } else {
      out[name.c_str()] = number;
    }
  }
  nb::list sliding;
  for (const bool slides : config.sliding) sliding.append(nb::bool_(slides));
  out["sliding"] = sliding;
  out["dense"] = nb::cast(config.dense);
  return out;
}

nb::bytes head_of_packed(const Gguf& gguf) {
  const PackedHead head = packed_head(gguf.tensors);
  return nb::bytes(head.data(), head.size());
}

Tokenizer tokenizer_of(const Gguf& gguf) {
  const nb::gil_scoped_release released;
  return read_tokenizer(gguf.content, gguf.file.path());
}

// (tokens, scores, types) for a file, the pieces that have no embedding, the tables.
nb::object token_arrays(const Tokenizer& tokenizer) {
  const OwnedTokenArrays arrays = write_token_arrays(tokenizer);
  auto bytes = [](const auto& values) {
    return nb::bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  return nb::make_tuple(bytes(arrays.tokens), bytes(arrays.scores), bytes(arrays.types), nb::cast(arrays.outside),
                        bytes(arrays.tables));
}

}  // namespace

void bind_gguf(nb::module_& m) {
  nb::dict formats;
  for (const Format& format : kFormats) formats[format.name] = nb::make_tuple(format.elements, format.bytes);
  m.attr("FORMATS") = formats;  // name of a type → numbers in a unit, bytes of it
  nb::class_<WeightFile>(m, "WeightFile", "A mapped file of named tensors.")
      .def_prop_ro("path", [](const WeightFile& file) { return file.file.path(); })
      .def_prop_ro("tensors", [](const WeightFile& file) { return shapes_of(file.tensors); })
      .def("read", &WeightFile::read, nb::arg("name"), nb::arg("dtype"), nb::arg("begin"), nb::arg("end"),
           nb::arg("add") = 0.0f, nb::arg("rows") = nb::none(), nb::arg("columns") = nb::none(),
           "Return rows [begin, end) as the bytes of \"F32\", \"BF16\", \"Q8_0\", \"Q6_K\", \"Q5_K\" or \"Q4_0\", each "
           "number "
           "with `add` on top and "
           "then multiplied by its row's and its column's factor. Raises WeightsError for a number that does not fit.")
      .def("pack", &WeightFile::pack, nb::arg("name"), nb::arg("type"), nb::arg("rows") = nb::none(),
           nb::arg("columns") = nb::none(),
           "Return a matrix, multiplied as in `read`, packed for products in \"int8\" or \"bf16\". Raises "
           "UnsupportedModel for widths that the kernels do not run.")
      .def("packed_size", &WeightFile::packed_size, nb::arg("name"), nb::arg("type"),
           "Return how many bytes `pack` returns.");
  m.def("open_safetensors", open_safetensors, nb::arg("path"), "Raises WeightsError, UnsupportedModel.");
  m.def(
      "token_arrays", token_arrays, nb::arg("tokenizer"),
      "Return what a GGUF file holds of it: (tokens, scores, token_type as bytes, pieces without an embedding, tables "
      "as bytes).");
  nb::class_<Gguf, WeightFile>(m, "Gguf", "A mapped GGUF file: settings, tokenizer and tensors.")
      .def_static("open", open_gguf, nb::arg("path"), "Raises WeightsError, UnsupportedModel.")
      .def_prop_ro("metadata", metadata)
      .def("config", config, "Return what Model takes. Raises UnsupportedModel.")
      .def("packed_head", head_of_packed, "Return what stands before the packed matrices of this file.")
      .def(
          "drop_pages", [](const Gguf& gguf) { gguf.file.drop_pages(gguf.file.bytes()); },
          "Give back the memory of what was read, the tokenizer's tables too; who reads again reads the file.")
      .def("tokenizer", tokenizer_of, nb::keep_alive<0, 1>(),  // it may read its tables in the mapped file
           "Raises WeightsError, UnsupportedModel.");
}

}  // namespace gemlet
