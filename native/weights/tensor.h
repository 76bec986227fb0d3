// tensor.h - a named tensor as it lies in a file.   (chapter 3: from file bytes to named tensors)
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace gemlet {

enum class DType { kF32, kBF16 };

inline size_t bytes_of(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }
inline const char* name_of(DType dtype) { return dtype == DType::kF32 ? "F32" : "BF16"; }

// Row-major, little-endian, at any alignment; the file that holds it outlives it.
struct Tensor {
  DType dtype;
  std::vector<size_t> shape;
  Bytes bytes;  // exactly the product of the shape in elements
};

// Elements [first, first + count) as float32, whatever the tensor stores.
inline void read_f32(const Tensor& tensor, size_t first, size_t count, float* out) {
  const uint8_t* from = tensor.bytes.data + first * bytes_of(tensor.dtype);
  if (tensor.dtype == DType::kF32) {
    std::memcpy(out, from, count * sizeof(float));
  } else {
    for (size_t i = 0; i < count; ++i) out[i] = bf16_to_f32(load<uint16_t>(from + 2 * i));
  }
}

}  // namespace gemlet
