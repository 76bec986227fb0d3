// tensor.h - a named tensor as it lies in a file.   (from file bytes to named tensors)
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "weights/blocks.h"
#include "weights/f16.h"
#include "weights/q4_0.h"
#include "weights/q6_k.h"
#include "weights/q8_0.h"

namespace gemlet {

enum class DType {
  kF32,
  kBF16,
  kF16,
  kQ8_0,
  kQ4_0,
  kQ6_K,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kIQ4_NL,
  kIQ4_XS
};

// Numbers are stored in units: single ones, or a block of them. In the order of DType.
struct Format {
  const char* name;
  uint32_t ggml;           // its number in a .gguf   Source: ggml.h, enum ggml_type
  size_t elements, bytes;  // of a unit
};
template <typename Block>
constexpr Format format_of(const char* name, uint32_t ggml) {
  return {name, ggml, Block::kSize, sizeof(Block)};
}
inline constexpr Format kFormats[] = {
    {"F32", 0, 1, 4},
    {"BF16", 30, 1, 2},
    {"F16", 1, 1, 2},
    format_of<BlockQ8_0>("Q8_0", 8),
    format_of<BlockQ4_0>("Q4_0", 2),
    format_of<BlockQ6_K>("Q6_K", 14),
    format_of<BlockQ4_1>("Q4_1", 3),
    format_of<BlockQ5_0>("Q5_0", 6),
    format_of<BlockQ5_1>("Q5_1", 7),
    format_of<BlockQ2_K>("Q2_K", 10),
    format_of<BlockQ3_K>("Q3_K", 11),
    format_of<BlockQ4_K>("Q4_K", 12),
    format_of<BlockQ5_K>("Q5_K", 13),
    format_of<BlockIQ4_NL>("IQ4_NL", 20),
    format_of<BlockIQ4_XS>("IQ4_XS", 23),
};
inline size_t elements_of(DType dtype) { return kFormats[static_cast<size_t>(dtype)].elements; }
inline size_t bytes_of(DType dtype) { return kFormats[static_cast<size_t>(dtype)].bytes; }
inline const char* name_of(DType dtype) { return kFormats[static_cast<size_t>(dtype)].name; }

// Row-major, little-endian, at any alignment; the file that holds it outlives it. A row is whole units.
struct Tensor {
  DType dtype;
  std::vector<size_t> shape;
  Bytes bytes;  // exactly the product of the shape in elements

  size_t size() const { return bytes.size / bytes_of(dtype) * elements_of(dtype); }
};

template <typename Block>
void read_blocks(const uint8_t* from, size_t count, float* out) {
  for (size_t first = 0; first < count; first += Block::kSize, from += sizeof(Block)) {
    const auto block = load<Block>(from);
    for (size_t i = 0; i < Block::kSize; ++i) out[first + i] = block.at(i);
  }
}

// Elements [first, first + count) as float32, whatever the tensor stores; both multiples of elements_of(dtype).
inline void read_f32(const Tensor& tensor, size_t first, size_t count, float* out) {
  const size_t bytes = bytes_of(tensor.dtype), unit = elements_of(tensor.dtype);
  const uint8_t* from = tensor.bytes.data + first / unit * bytes;
  switch (tensor.dtype) {
    case DType::kF32:
      std::memcpy(out, from, count * sizeof(float));
      break;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) out[i] = bf16_to_f32(load<uint16_t>(from + bytes * i));
      break;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = f16_to_f32(load<uint16_t>(from + bytes * i));
      break;
    case DType::kQ8_0:
      for (size_t i = 0; i < count / unit; ++i) dequantize_q8_0(load<BlockQ8_0>(from + bytes * i), out + unit * i);
      break;
    case DType::kQ4_0:
      for (size_t i = 0; i < count / unit; ++i) dequantize_q4_0(load<BlockQ4_0>(from + bytes * i), out + unit * i);
      break;
    case DType::kQ6_K:
      return read_blocks<BlockQ6_K>(from, count, out);
    case DType::kQ4_1:
      return read_blocks<BlockQ4_1>(from, count, out);
    case DType::kQ5_0:
      return read_blocks<BlockQ5_0>(from, count, out);
    case DType::kQ5_1:
      return read_blocks<BlockQ5_1>(from, count, out);
    case DType::kQ2_K:
      return read_blocks<BlockQ2_K>(from, count, out);
    case DType::kQ3_K:
      return read_blocks<BlockQ3_K>(from, count, out);
    case DType::kQ4_K:
      return read_blocks<BlockQ4_K>(from, count, out);
    case DType::kQ5_K:
      return read_blocks<BlockQ5_K>(from, count, out);
    case DType::kIQ4_NL:
      return read_blocks<BlockIQ4_NL>(from, count, out);
    case DType::kIQ4_XS:
      return read_blocks<BlockIQ4_XS>(from, count, out);
  }
}

// What a matrix is multiplied by: element (i, j) by rows[i] * columns[j]; null: by 1.
struct Factors {
  const float* rows = nullptr;
  const float* columns = nullptr;

  // x: the elements [first, first + count) of a matrix of `width` columns.
  void apply(size_t first, size_t count, size_t width, float* x) const {
    for (size_t i = 0; rows && i < count; ++i) x[i] *= rows[(first + i) / width];
    for (size_t i = 0; columns && i < count; ++i) x[i] *= columns[(first + i) % width];
  }
};

}  // namespace gemlet
