// layers.cpp - named tensors → the packed weights.
#include "model/layers.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "model/packed.h"

namespace gemlet {
namespace {

std::string spell(const std::vector<size_t>& shape) {
  std::string text;
  for (size_t extent : shape) text += (text.empty() ? "[" : ", ") + std::to_string(extent);
  return (text.empty() ? "[" : text) + "]";
}

std::string dense_name(size_t i) { return "dense." + std::to_string(i) + ".linear"; }

// Inputs of a layer of the dense head.
size_t width_before(const Config& c, size_t i) { return i == 0 ? c.hidden_size : c.dense[i - 1]; }

// a * b: [rows, n]; a: [rows, k], b: [k, n].
Buffer<float> multiply(const float* a, const float* b, size_t rows, size_t k, size_t n, const Gemm& gemm,
                       ThreadPool& pool) {
  const size_t panel = gemm.panel_bytes(k), row = gemm.row_bytes(k);
  Buffer<uint8_t> packed(packed_bytes(n, k, gemm)), prepared(rows * row);
  Buffer<float> product(rows * n);
  gemm.pack_columns(b, n, k, n, packed.data(), panel);
  pool.parallel_for(rows / kPanel, [&](size_t i, size_t) {
    uint8_t* x = prepared.data() + i * kPanel * row;
    for (size_t r = 0; r < kPanel; ++r) gemm.prepare(a + (i * kPanel + r) * k, k, x + r * row);
    gemm.multiply(x, kPanel, row, packed.data(), n / kPanel, k, panel, product.data() + i * kPanel * n, n);
  });
  return product;
}

// Collects the tensors by name and the packing to be done, which then runs in parallel, one matrix an iteration.
class Packer {
 public:
  Packer(const Source& source, const Kernels& kernels) : source_(source), kernels_(kernels) {}

  const Tensor& find(const std::string& name, const std::vector<size_t>& shape) const {
    auto found = source_.tensors.find(name);
    if (found == source_.tensors.end()) found = source_.tensors.find("model." + name);
    if (found == source_.tensors.end()) throw Error(Code::kWeights, "the checkpoint has no tensor `" + name + "`");
    if (found->second.shape != shape) {
      throw Error(Code::kWeights,
                  "tensor `" + name + "` has shape " + spell(found->second.shape) + ", expected " + spell(shape));
    }
    return found->second;
  }

  Buffer<float> norm(const std::string& name, size_t n) const {
    Buffer<float> weight(n);
    read_f32(find(name + ".weight", {n}), 0, n, weight.data());
    for (size_t i = 0; i < n; ++i) weight.data()[i] += source_.norms_hold_one ? 0.0f : 1.0f;
    return weight;
  }

  // The matrices `names`, each [n, k], end to end: the next ones of `mapped` where a file holds them packed.
  // In bytes, matrices that are Q4_0 stay so.
  Linear linear(const std::vector<std::pair<std::string, size_t>>& names, size_t k, const Gemm& type, Bytes& mapped) {
    Linear linear{0, k, {}};
    std::vector<const Tensor*> tensors;
    for (const auto& [name, n] : names) {
      tensors.push_back(&find(name + ".weight", {n, k}));
      const bool q4_0 = &type == &kernels_.int8 && tensors.back()->dtype == DType::kQ4_0;
      linear.add(n, q4_0 ? kernels_.int4 : type);
    }
    auto tensor = tensors.begin();
    for (Part& part : linear.parts) {
      const size_t size = packed_bytes(part.n, k, *part.gemm);
      if (mapped.data) {
        part.packed = take(mapped, size);
        continue;
      }
      part.owned = Buffer<uint8_t>(size);
      part.packed = part.owned.data();
      for (size_t done = 0; done < part.n; done += (*tensor++)->shape[0])
        jobs_.push_back({*tensor, part.gemm, part.owned.data() + packed_bytes(done, k, *part.gemm)});
    }
    return linear;
  }

  // The layers of the dense head have nothing between them: their product does what they do, in an eighth of the
  // memory.
  Linear folded_head(const Config& c, const Gemm& type, ThreadPool& pool) const {
    Buffer<float> product;  // [outputs, hidden]
    for (size_t i = 0; i < c.dense.size(); ++i) {
      const size_t n = c.dense[i], k = width_before(c, i);
      const Tensor& tensor = find(dense_name(i) + ".weight", {n, k});
      Buffer<float> weights(n * k);
      read_f32(tensor, 0, n * k, weights.data());
      source_.release(tensor.bytes);
      product = i == 0 ? std::move(weights) : multiply(weights.data(), product.data(), n, k, c.hidden_size, type, pool);
    }
    Linear head{0, c.hidden_size, {}};
    head.add(c.dense.back(), type);
    Part& part = head.parts[0];
    part.owned = Buffer<uint8_t>(packed_bytes(part.n, head.k, type));
    part.packed = part.owned.data();
    type.pack(product.data(), part.n, head.k, head.k, part.owned.data(), type.panel_bytes(head.k));
    return head;
  }

  void run(ThreadPool& pool) {
    pool.parallel_for(jobs_.size(), [&](size_t i, size_t) {
      const auto& [tensor, gemm, to] = jobs_[i];
      if (gemm == &kernels_.int4) {
        kernels_.pack_q4_0(tensor->bytes.data, tensor->shape[0], tensor->shape[1], to,
                           gemm->panel_bytes(tensor->shape[1]));
      } else {
        pack_matrix(*tensor, {}, *gemm, to);
      }
      source_.release(tensor->bytes);
    });
  }

 private:
  const uint8_t* take(Bytes& mapped, size_t size) const {
    if (mapped.size < size) {
      throw Error(Code::kWeights, source_.block_path + ": its packed matrices are cut off: fetch or write it again");
    }
    const uint8_t* const packed = mapped.data;
    mapped = {packed + size, mapped.size - size};
    return packed;
  }

  struct Job {
    const Tensor* tensor;
    const Gemm* gemm;
    uint8_t* to;
  };
  const Source& source_;
  const Kernels& kernels_;
  std::vector<Job> jobs_;
};

void check_widths(const Config& c, Storage storage) {
  const auto check = [](const char* field, size_t value, size_t most) {
    if (value == 0 || value % kWidthUnit || value > most) {
      throw Error(Code::kUnsupported, std::string(field) + " is " + std::to_string(value) +
                                          "; the kernels run multiples of " + std::to_string(kWidthUnit) + " up to " +
                                          std::to_string(most));
    }
  };
  const bool int8 = storage == Storage::kInt8;
  const size_t most = int8 ? kMaxInt8Width : kMaxWidth;
  check("hidden_size", c.hidden_size, most);
  check("intermediate_size", c.intermediate_size, most);
  check("head_dim", c.head_dim, int8 ? kMaxInt8FineWidth : kMaxWidth);
  check("num_attention_heads * head_dim", c.q_width(), most);
  for (size_t width : c.dense) check("a dense layer's width", width, kMaxWidth);
  if (int8 && c.max_position_embeddings > kMaxInt8Values) {
    throw Error(Code::kUnsupported, "max_position_embeddings is " + std::to_string(c.max_position_embeddings) +
                                        "; the 8-bit kernels run up to " + std::to_string(kMaxInt8Values));
  }
  if (!c.num_attention_heads || !c.num_key_value_heads || c.num_attention_heads % c.num_key_value_heads) {
    throw Error(Code::kUnsupported, "num_attention_heads is no multiple of num_key_value_heads");
  }
}

Layer collect_layer(Packer& packer, const Config& c, size_t index, const Gemm& gemm, Bytes& mapped) {
  const std::string name = "layers." + std::to_string(index) + ".";
  const std::string attn = name + "self_attn.", mlp = name + "mlp.";
  Layer layer{};
  layer.sliding = c.sliding[index];
  layer.input_layernorm = packer.norm(name + "input_layernorm", c.hidden_size);
  layer.qkv_proj =
      packer.linear({{attn + "q_proj", c.q_width()}, {attn + "k_proj", c.kv_width()}, {attn + "v_proj", c.kv_width()}},
                    c.hidden_size, gemm, mapped);
  layer.q_norm = packer.norm(attn + "q_norm", c.head_dim);
  layer.k_norm = packer.norm(attn + "k_norm", c.head_dim);
  layer.o_proj = packer.linear({{attn + "o_proj", c.hidden_size}}, c.q_width(), gemm, mapped);
  layer.post_attention_layernorm = packer.norm(name + "post_attention_layernorm", c.hidden_size);
  layer.pre_feedforward_layernorm = packer.norm(name + "pre_feedforward_layernorm", c.hidden_size);
  layer.gate_up_proj = packer.linear({{mlp + "gate_proj", c.intermediate_size}, {mlp + "up_proj", c.intermediate_size}},
                                     c.hidden_size, gemm, mapped);
  layer.down_proj = packer.linear({{mlp + "down_proj", c.hidden_size}}, c.intermediate_size, gemm, mapped);
  layer.post_feedforward_layernorm = packer.norm(name + "post_feedforward_layernorm", c.hidden_size);
  return layer;
}

}  // namespace

void Linear::add(size_t outputs, const Gemm& gemm) {
  n += outputs;
  if (!parts.empty() && parts.back().gemm == &gemm) {
    parts.back().n += outputs;
    return;
  }
  size_t before = row_bytes();
  for (const Part& part : parts)
    if (part.gemm == &gemm) before = part.before;
  parts.push_back({&gemm, outputs, before, nullptr, {}});
}

size_t Linear::row_bytes() const {
  size_t end = 0;
  for (const Part& part : parts) end = std::max(end, part.before + part.gemm->row_bytes(k));
  return end;
}

void Linear::prepare(const float* x, uint8_t* rows, size_t count, size_t row) const {
  size_t done = 0;  // bytes of a row in the types that are prepared; a later part may have one of them
  for (const Part& part : parts) {
    if (part.before != done) continue;
    const size_t bytes = part.gemm->row_bytes(k);
    part.gemm->prepare(x, k, rows + part.before * count + row * bytes);
    done += bytes;
  }
}

// The angles are rounded to float32 as the publisher's stack rounds them: at position 2,000 that is 1e-4 radians,
// so exact angles would give other vectors.   Source: Gemma3RotaryEmbedding.
Rope::Rope(double theta, size_t positions, size_t head_dim)
    : half_(head_dim / 2), cos_(positions * half_), sin_(positions * half_) {
  for (size_t i = 0; i < half_; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequencies_.push_back(1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
}

void Rope::require(size_t count) const {
  if (ready_ >= count) return;
  std::lock_guard lock(growing_);
  for (size_t p = ready_; p < count; ++p) {
    for (size_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(p) * frequencies_[i];
      cos_.data()[p * half_ + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin_.data()[p * half_ + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  if (ready_ < count) ready_ = count;
}

Weights pack_weights(const Config& c, const Source& source, Storage storage, const Kernels& kernels, ThreadPool& pool) {
  check_widths(c, storage);
  const Gemm& body = storage == Storage::kF32 ? kernels.f32 : storage == Storage::kBF16 ? kernels.bf16 : kernels.int8;
  const Gemm& rest = storage == Storage::kF32 ? kernels.f32 : kernels.bf16;
  Packer packer(source, kernels);
  Bytes mapped = storage == Storage::kInt8 ? packed_matrices(source) : Bytes{};
  Weights weights;
  weights.scores = storage == Storage::kInt8 ? &kernels.int8_fine : &rest;
  weights.values = storage == Storage::kInt8 ? &kernels.int8_values : &rest;
  weights.embed_tokens = packer.find("embed_tokens.weight", {c.vocab_size, c.hidden_size});
  for (size_t i = 0; i < c.num_hidden_layers(); ++i)
    weights.layers.push_back(collect_layer(packer, c, i, body, mapped));
  weights.norm = packer.norm("norm", c.hidden_size);
  if (storage == Storage::kInt8 && !mapped.data && !c.dense.empty()) {
    weights.dense.push_back(packer.folded_head(c, rest, pool));
  } else {
    for (size_t i = 0; i < c.dense.size(); ++i)
      weights.dense.push_back(packer.linear({{dense_name(i), c.dense[i]}}, width_before(c, i), rest, mapped));
  }
  packer.run(pool);
  weights.rope_full = std::make_unique<Rope>(c.rope_theta, c.max_position_embeddings, c.head_dim);
  weights.rope_sliding = std::make_unique<Rope>(c.rope_local_base_freq, c.max_position_embeddings, c.head_dim);
  return weights;
}

}  // namespace gemlet
