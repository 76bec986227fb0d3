// safetensors.cpp - any bytes as a .safetensors file: refused, or every tensor readable to its last element.
#include "weights/safetensors.h"

#include <cstdint>
#include <vector>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& [name, tensor] : gemlet::read_safetensors({data, size}, "fuzz")) {
      std::vector<float> values(tensor.bytes.size / gemlet::bytes_of(tensor.dtype));
      gemlet::read_f32(tensor, 0, values.size(), values.data());
    }
  } catch (const gemlet::Error&) {
  }
  return 0;
}
