// safetensors.cpp - a .safetensors file → named tensors.
#include "weights/safetensors.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace gemlet {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit

[[noreturn]] void fail(const std::string& path, const std::string& fault) {
  throw Error(Code::kWeights, path + ": " + fault + "; the file is damaged: fetch it again");
}

// One tensor's place in the data, while it is being read.
struct Entry {
  std::string dtype;
  std::vector<size_t> shape;
  std::vector<size_t> offsets;  // begin, end
};

std::vector<size_t> read_sizes(JsonReader& reader) {
  std::vector<size_t> sizes;
  reader.enter_array();
  while (reader.next_element()) {
    const JsonNumber n = reader.read_number();
    if (!n.is_integer || n.negative) reader.fail("not a size");
    sizes.push_back(n.magnitude);
  }
  return sizes;
}

Entry read_entry(JsonReader& reader) {
  Entry entry;
  std::set<std::string, std::less<>> seen;
  reader.enter_object();
  while (reader.next_key()) {
    if (!seen.emplace(reader.key()).second) reader.fail("the key is there twice");
    if (reader.key() == "dtype") {
      entry.dtype = reader.read_string();
    } else if (reader.key() == "shape") {
      entry.shape = read_sizes(reader);
    } else if (reader.key() == "data_offsets") {
      entry.offsets = read_sizes(reader);
    } else {
      reader.fail("unknown key");
    }
  }
  return entry;
}

void skip_metadata(JsonReader& reader) {
  reader.enter_object();
  while (reader.next_key()) reader.read_string();
}

Tensor to_tensor(const Entry& entry, Bytes data, const std::string& path, const std::string& name) {
  if (entry.dtype != "F32" && entry.dtype != "BF16") {
    throw Error(Code::kUnsupported,
                path + ": tensor `" + name + "` has dtype `" + entry.dtype + "`; F32 and BF16 are read");
  }
  Tensor tensor{entry.dtype == "F32" ? DType::kF32 : DType::kBF16, entry.shape, {}};
  if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1] || entry.offsets[1] > data.size) {
    fail(path, "tensor `" + name + "` lies outside the file");
  }
  tensor.bytes = {data.data + entry.offsets[0], entry.offsets[1] - entry.offsets[0]};
  size_t expected = bytes_of(tensor.dtype);
  for (size_t extent : entry.shape) {
    if (__builtin_mul_overflow(expected, extent, &expected))
      fail(path, "tensor `" + name + "` has an impossible shape");
  }
  if (expected != tensor.bytes.size) fail(path, "tensor `" + name + "` has a shape that does not fit its bytes");
  return tensor;
}

void check_covers(const std::map<std::string, Tensor>& tensors, Bytes data, const std::string& path) {
  std::vector<std::pair<const uint8_t*, size_t>> parts;
  for (const auto& [name, tensor] : tensors) parts.emplace_back(tensor.bytes.data, tensor.bytes.size);
  std::sort(parts.begin(), parts.end());
  const uint8_t* end = data.data;
  for (const auto& [begin, size] : parts) {
    if (begin != end) fail(path, begin < end ? "tensors overlap" : "there is a hole between tensors");
    end = begin + size;
  }
  if (end != data.data + data.size) fail(path, "there are bytes behind the last tensor");
}

}  // namespace

std::map<std::string, Tensor> read_safetensors(Bytes file, const std::string& path) {
  if (file.size < 8) fail(path, "too short for a safetensors file");
  const auto length = load<uint64_t>(file.data);
  if (length > kMaxHeader || length > file.size - 8) fail(path, "the header is longer than the file");
  const Bytes data{file.data + 8 + length, file.size - 8 - length};

  const std::string what = path + ", header";
  JsonReader reader({file.data + 8, length}, what);
  std::map<std::string, Tensor> tensors;
  reader.enter_object();
  while (reader.next_key()) {
    const std::string name(reader.key());
    if (name == "__metadata__") {
      skip_metadata(reader);
    } else if (!tensors.emplace(name, to_tensor(read_entry(reader), data, path, name)).second) {
      fail(path, "tensor `" + name + "` is there twice");
    }
  }
  reader.finish();
  check_covers(tensors, data, path);
  return tensors;
}

}  // namespace gemlet
