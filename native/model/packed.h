// packed.h - the matrices as the kernels want them for Storage::kInt8, in a block of a .gguf file.
//
// The block lies behind the tensors and is used where the file is mapped. It is packed from the checkpoint that the
// tensors were rounded from, not from them: numbers are rounded once. A head; q, k, v, o, gate, up and down of each
// layer in int8; the dense head in bf16; end to end. Nothing in it says where anything lies, so the worst that a
// damaged block can give is a wrong vector.
#pragma once
#include <array>

#include "kernels/kernels.h"
#include "model/layers.h"

namespace gemlet {

inline constexpr const char* kPackedKey = "gemlet.packed_matrices";  // of the metadata: where the block begins

// What a block begins with when it belongs to these tensors: the layout's version, and a hash of the tensors' names,
// types, shapes and first bytes.
using PackedHead = std::array<uint8_t, 64>;
PackedHead packed_head(const std::map<std::string, Tensor>& tensors);

// The matrices in source.block; empty when there is no block, or it belongs to other tensors or another version.
Bytes packed_matrices(const Source& source);

// Bytes of one matrix [n, k] when it is packed. n, k: multiples of kWidthUnit, k no wider than the type runs.
size_t packed_bytes(size_t n, size_t k, const Gemm& gemm);
void pack_matrix(const Tensor& matrix, const Factors& factors, const Gemm& gemm, uint8_t* packed);

}  // namespace gemlet
