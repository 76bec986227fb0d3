// packed.cpp - see packed.h.
#include "model/packed.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"

namespace gemlet {
namespace {

constexpr std::string_view kFormat = "packing1";  // a change of the order, or of what Gemm::pack writes, changes it
constexpr size_t kAlignment = 64;                 // of the block in the file
constexpr size_t kSample = 4096;                  // bytes of a tensor that are hashed; all of them would take a while

Bytes sample_of(const Tensor& tensor) { return {tensor.bytes.data, std::min(tensor.bytes.size, kSample)}; }

}  // namespace

PackedHead packed_head(const std::map<std::string, Tensor>& tensors) {
  Hash hash;
  for (const auto& [name, tensor] : tensors) {
    hash.add(bytes_of(name)).add(bytes_of(name_of(tensor.dtype))).add(tensor.shape.size());
    for (const size_t extent : tensor.shape) hash.add(extent);
    hash.add(sample_of(tensor));
  }
  const uint64_t value = hash.value();
  PackedHead head{};
  std::memcpy(head.data(), kFormat.data(), kFormat.size());
  std::memcpy(head.data() + kFormat.size(), &value, sizeof value);
  return head;
}

Bytes packed_matrices(const Source& source) {
  const Bytes block = source.block;
  if (block.size < sizeof(PackedHead) || reinterpret_cast<uintptr_t>(block.data) % kAlignment) return {};
  source.expect(block);
  for (const auto& [name, tensor] : source.tensors) source.expect(sample_of(tensor));
  const PackedHead head = packed_head(source.tensors);
  for (const auto& [name, tensor] : source.tensors) source.release(tensor.bytes);
  if (!std::equal(head.begin(), head.end(), block.data)) return {};
  return {block.data + head.size(), block.size - head.size()};
}

size_t packed_bytes(size_t n, size_t k, const Gemm& gemm) { return n / kPanel * gemm.panel_bytes(k); }

void pack_matrix(const Tensor& matrix, const Factors& factors, const Gemm& gemm, uint8_t* packed) {
  const size_t panels = matrix.shape[0] / kPanel, k = matrix.shape[1], panel_bytes = gemm.panel_bytes(k);
  std::vector<float> rows(kPanel * k);
  for (size_t p = 0; p < panels; ++p) {
    read_f32(matrix, p * rows.size(), rows.size(), rows.data());
    factors.apply(p * rows.size(), rows.size(), k, rows.data());
    gemm.pack(rows.data(), kPanel, k, k, packed + p * panel_bytes, panel_bytes);
  }
}

}  // namespace gemlet
