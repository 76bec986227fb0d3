// layers.cpp - named tensors → the packed weights.   (chapter 5)
#include "model/layers.h"

#include <cmath>
#include <functional>

#include "base/error.h"

namespace gemlet {
namespace {

std::string spell(const std::vector<size_t>& shape) {
  std::string text;
  for (size_t extent : shape) text += (text.empty() ? "[" : ", ") + std::to_string(extent);
  return (text.empty() ? "[" : text) + "]";
}

// Collects the tensors by name and the packing to be done, which then runs in parallel, one matrix an iteration.
class Packer {
 public:
  Packer(const Source& source, const Gemm& gemm) : source_(source), gemm_(gemm) {}

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

  // The matrices `names`, each [n, k], end to end.
  Linear linear(const std::vector<std::pair<std::string, size_t>>& names, size_t k) {
    Linear linear{&gemm_, 0, k, {}};
    for (const auto& [name, n] : names) linear.n += n;
    linear.packed = Buffer<uint8_t>(linear.n * k * gemm_.bytes);
    uint8_t* to = linear.packed.data();
    for (const auto& [name, n] : names) {
      jobs_.push_back({&find(name + ".weight", {n, k}), to});
      to += n * k * gemm_.bytes;
    }
    return linear;
  }

  void run(ThreadPool& pool) {
    pool.parallel_for(jobs_.size(), [&](size_t i, size_t) {
      const auto& [tensor, to] = jobs_[i];
      const size_t n = tensor->shape[0], k = tensor->shape[1];
      std::vector<float> rows(n * k);
      read_f32(*tensor, 0, n * k, rows.data());
      gemm_.pack(rows.data(), n, k, k, 1, to, k * gemm_.panel);
      source_.release(tensor->bytes);
    });
  }

 private:
  struct Job {
    const Tensor* tensor;
    uint8_t* to;
  };
  const Source& source_;
  const Gemm& gemm_;
  std::vector<Job> jobs_;
};

void check_widths(const Config& c) {
  const auto check = [](const char* field, size_t value) {
    if (value == 0 || value % kWidthUnit) {
      throw Error(Code::kUnsupported, std::string(field) + " is " + std::to_string(value) +
                                          "; the kernels run multiples of " + std::to_string(kWidthUnit));
    }
  };
  check("hidden_size", c.hidden_size);
  check("intermediate_size", c.intermediate_size);
  check("head_dim", c.head_dim);
  for (size_t width : c.dense) check("a dense layer's width", width);
  if (!c.num_attention_heads || !c.num_key_value_heads || c.num_attention_heads % c.num_key_value_heads) {
    throw Error(Code::kUnsupported, "num_attention_heads is no multiple of num_key_value_heads");
  }
}

// The angles are rounded to float32 as the publisher's stack rounds them: at position 2,000 that is 1e-4 radians,
// so exact angles would give other vectors.   Source: Gemma3RotaryEmbedding.
Rope make_rope(double theta, size_t positions, size_t head_dim) {
  const size_t half = head_dim / 2;
  Rope rope{Buffer<float>(positions * half), Buffer<float>(positions * half)};
  for (size_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    const float frequency = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
    for (size_t p = 0; p < positions; ++p) {
      const float angle = static_cast<float>(p) * frequency;
      rope.cos.data()[p * half + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      rope.sin.data()[p * half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  return rope;
}

Layer collect_layer(Packer& packer, const Config& c, size_t index) {
  const std::string name = "layers." + std::to_string(index) + ".";
  const std::string attn = name + "self_attn.", mlp = name + "mlp.";
  Layer layer{};
  layer.sliding = c.sliding[index];
  layer.input_layernorm = packer.norm(name + "input_layernorm", c.hidden_size);
  layer.qkv_proj =
      packer.linear({{attn + "q_proj", c.q_width()}, {attn + "k_proj", c.kv_width()}, {attn + "v_proj", c.kv_width()}},
                    c.hidden_size);
  layer.q_norm = packer.norm(attn + "q_norm", c.head_dim);
  layer.k_norm = packer.norm(attn + "k_norm", c.head_dim);
  layer.o_proj = packer.linear({{attn + "o_proj", c.hidden_size}}, c.q_width());
  layer.post_attention_layernorm = packer.norm(name + "post_attention_layernorm", c.hidden_size);
  layer.pre_feedforward_layernorm = packer.norm(name + "pre_feedforward_layernorm", c.hidden_size);
  layer.gate_up_proj =
      packer.linear({{mlp + "gate_proj", c.intermediate_size}, {mlp + "up_proj", c.intermediate_size}}, c.hidden_size);
  layer.down_proj = packer.linear({{mlp + "down_proj", c.hidden_size}}, c.intermediate_size);
  layer.post_feedforward_layernorm = packer.norm(name + "post_feedforward_layernorm", c.hidden_size);
  return layer;
}

}  // namespace

Weights pack_weights(const Config& c, const Source& source, Storage storage, const Kernels& kernels, ThreadPool& pool) {
  check_widths(c);
  Packer packer(source, storage == Storage::kF32 ? kernels.gemm_f32 : kernels.gemm_bf16);
  Weights weights;
  weights.embed_tokens = packer.find("embed_tokens.weight", {c.vocab_size, c.hidden_size});
  for (size_t i = 0; i < c.num_hidden_layers(); ++i) weights.layers.push_back(collect_layer(packer, c, i));
  weights.norm = packer.norm("norm", c.hidden_size);
  size_t width = c.hidden_size;
  for (size_t i = 0; i < c.dense.size(); ++i) {
    weights.dense.push_back(packer.linear({{"dense." + std::to_string(i) + ".linear", c.dense[i]}}, width));
    width = c.dense[i];
  }
  packer.run(pool);
  weights.rope_full = make_rope(c.rope_theta, c.max_position_embeddings, c.head_dim);
  weights.rope_sliding = make_rope(c.rope_local_base_freq, c.max_position_embeddings, c.head_dim);
  return weights;
}

}  // namespace gemlet
