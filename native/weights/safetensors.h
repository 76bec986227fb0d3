// safetensors.h - a .safetensors file → named tensors.
#pragma once
#include <map>
#include <string>

#include "weights/tensor.h"

namespace gemlet {

// Format: a little-endian u64 header length, a JSON object {name: {dtype, shape, data_offsets: [begin, end]}}, the
// data. The tensors must cover the data without a hole or an overlap, as the format's own library demands. Views into
// `file`; `path` is for messages. Throws Error(kWeights) at any lie, Error(kUnsupported) at another dtype than F32 and
// BF16.
std::map<std::string, Tensor> read_safetensors(Bytes file, const std::string& path);

}  // namespace gemlet
