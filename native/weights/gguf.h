// gguf.h - a .gguf file → settings and named tensors.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weights/tensor.h"

namespace gemlet {

enum class GgufType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

// One value of the metadata, in place.
struct GgufValue {
  GgufType type;  // of an array: of its elements
  bool is_array;
  uint64_t count = 1;  // of an array: its elements
  Bytes bytes;         // a string's text; an array's elements end to end, strings with a u64 length before each

  bool is_integer() const;
  double number() const;  // of a number or a truth value; 0 for others
};

// Views into the file, which outlives them.
struct GgufFile {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, Tensor> tensors;  // under the checkpoint's names: "layers.0.mlp.up_proj.weight"
  Bytes data;                             // from where tensors' offsets count, to the end of the file
  bool norms_hold_one = true;             // the norms' tensors are 1 + w, where a checkpoint stores w

  const GgufValue* find(std::string_view key) const;
};

// Format: "GGUF", u32 version, u64 tensors, u64 values, the metadata, the tensors' places, padding, the data; all
// little-endian.   Source: ggml, docs/gguf.md. Reads versions 2 and 3 of an EmbeddingGemma as llama.cpp's converter
// and gemlet write it; `path` is for messages.
// Throws Error(kWeights) at any lie and when the dense head is missing; Error(kUnsupported) for another version, byte
// order, architecture or tensor, and for a tensor's type that is not read.
GgufFile read_gguf(Bytes file, const std::string& path);

// A block of our own behind the tensors: from the place in file.data that `key` names, a u64, to the end of the file;
// empty when there is no such key or place. Throws Error(kUnsupported) for a key of another type.
Bytes block_in(const GgufFile& file, std::string_view key, const std::string& path);

// What the metadata says of the model: the fields of model/config.h by their names.
struct GgufConfig {
  std::map<std::string, double> numbers;
  std::vector<bool> sliding;  // one for each layer
  std::vector<size_t> dense;  // widths behind the pooling
};

// Throws Error(kUnsupported), which names the key, when a setting is missing or is not what this engine runs.
GgufConfig read_gguf_config(const GgufFile& file, const std::string& path);

}  // namespace gemlet
