// config.h - the numbers of config.json that shape the model, under their Hugging Face names.
#pragma once
#include <cstddef>
#include <vector>

namespace gemlet {

struct Config {
  size_t vocab_size = 0;
  size_t hidden_size = 0;
  size_t intermediate_size = 0;
  size_t num_attention_heads = 0;
  size_t num_key_value_heads = 0;
  size_t head_dim = 0;
  size_t max_position_embeddings = 0;
  size_t window =
      0;  // a query sees the keys at most this far away: 256 for sliding_window 512 (or its saved half, 257)
  float query_pre_attn_scalar = 0;
  float rms_norm_eps = 0;
  double rope_theta = 0;            // layers of full attention
  double rope_local_base_freq = 0;  // sliding layers
  std::vector<bool> sliding;        // one for each layer; from layer_types
  std::vector<size_t> dense;        // widths behind the pooling, the last is the vector's: {3072, 768}

  size_t num_hidden_layers() const { return sliding.size(); }
  size_t embedding_size() const { return dense.empty() ? hidden_size : dense.back(); }
  size_t q_width() const { return num_attention_heads * head_dim; }
  size_t kv_width() const { return num_key_value_heads * head_dim; }
  size_t qkv_width() const { return q_width() + 2 * kv_width(); }
};

}  // namespace gemlet
