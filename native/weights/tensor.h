// tensor.h - a named tensor as it lies in a file.   (chapter 3: from file bytes to named tensors)
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "weights/f16.h"
#include "weights/q4_0.h"
#include "weights/q8_0.h"

namespace gemlet {

enum class DType { kF32, kBF16, kF16, kQ8_0, kQ4_0 };

// Numbers are stored in units: single ones, or a block of them. In the order of DType.
struct Format {
  const char* name;
  size_t elements, bytes;  // of a unit
};
inline constexpr Format kFormats[] = {
    {"F32", 1, 4},
    {"BF16", 1, 2},
    {"F16", 1, 2},
    {"Q8_0", BlockQ8_0::kSize, sizeof(BlockQ8_0)},
    {"Q4_0", BlockQ4_0::kSize, sizeof(BlockQ4_0)},
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
