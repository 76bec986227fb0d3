// layers.h - every tensor of the model, with its shape beside it.   (token ids → vectors)
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "model/config.h"
#include "weights/tensor.h"

namespace gemlet {

// The tensors of a checkpoint, by name. Its norms hold the weight, or 1 + weight already.
struct Source {
  std::map<std::string, Tensor> tensors;
  bool norms_hold_one = false;
  Bytes block;                         // from where a file's packed matrices begin (packed.h) to its end; or nothing
  std::string block_path;              // that file
  std::function<void(Bytes)> expect;   // told of bytes that will be read soon
  std::function<void(Bytes)> release;  // told of bytes that have been packed; called from any thread
};

enum class Storage { kF32, kBF16, kInt8 };  // of the packed matrices; in kInt8 those that are Q4_0 stay in 4 bits

// Outputs of a Linear that lie side by side and have one type.
struct Part {
  const Gemm* gemm;
  size_t n;                         // outputs
  size_t before;                    // bytes of a row of x in the types that come before this one
  const uint8_t* packed = nullptr;  // in `owned`, or in a mapped file
  Buffer<uint8_t> owned;
};

// y = x * W^T with W packed for this CPU. Several matrices over the same input may share one Linear, outputs end to
// end.
struct Linear {
  size_t n = 0, k = 0;  // outputs, inputs
  std::vector<Part> parts;

  // Adds n outputs, to the last part if that has their type.
  void add(size_t outputs, const Gemm& gemm);

  // Prepared rows: all of them in one type, end to end, then all in the next.
  size_t row_bytes() const;  // of one row in all types

  // rows: of `count` rows the prepared ones; x: [k], the one at `row`.
  void prepare(const float* x, uint8_t* rows, size_t count, size_t row) const;
};

struct Layer {
  bool sliding;
  Buffer<float> input_layernorm;             // [hidden]      all norms are stored as 1 + weight
  Linear qkv_proj;                           // [q_width + 2 * kv_width, hidden]
  Buffer<float> q_norm, k_norm;              // [head_dim]
  Linear o_proj;                             // [hidden, q_width]
  Buffer<float> post_attention_layernorm;    // [hidden]
  Buffer<float> pre_feedforward_layernorm;   // [hidden]
  Linear gate_up_proj;                       // [2 * intermediate, hidden]
  Linear down_proj;                          // [hidden, intermediate]
  Buffer<float> post_feedforward_layernorm;  // [hidden]
};

// cos and sin of position * theta^(-2i / head_dim), worked out up to the longest sequence that was asked for.
class Rope {
 public:
  Rope(double theta, size_t positions, size_t head_dim);

  // Makes the rows of positions [0, count) ready; any number of threads may call at once.
  void require(size_t count) const;
  const float* cos(size_t position) const { return cos_.data() + position * half_; }
  const float* sin(size_t position) const { return sin_.data() + position * half_; }

 private:
  const size_t half_;
  std::vector<float> frequencies_;
  mutable std::mutex growing_;
  mutable std::atomic<size_t> ready_{0};
  mutable Buffer<float> cos_, sin_;  // [max_position_embeddings, head_dim / 2]
};

struct Weights {
  Tensor embed_tokens;  // [vocab, hidden], its rows read one by one
  std::vector<Layer> layers;
  Buffer<float> norm;  // [hidden]
  std::vector<Linear>
      dense;  // [3072, hidden], [768, 3072], or in kInt8 their product [768, hidden] unless a file holds both packed
  const Gemm* scores;  // the type of the product with the keys
  const Gemm* values;  // and with the values
  std::unique_ptr<Rope> rope_full, rope_sliding;
};

// Takes the tensors by the names of the checkpoint ("layers.0.self_attn.q_proj.weight", with or without "model." before
// it; the dense head as "dense.0.linear.weight", ...) and packs them, but for those that the file holds packed for this
// storage. Throws Error(kWeights) that names a tensor which
// is missing or has another shape than the config says, Error(kUnsupported) when the kernels cannot run the widths.
Weights pack_weights(const Config& config, const Source& source, Storage storage, const Kernels& kernels,
                     ThreadPool& pool);

}  // namespace gemlet
