// attention.cpp - q k v → q/k norm → RoPE → softmax over the window → o.   (chapter 5)
#include <algorithm>

#include "model/workspace.h"

namespace gemlet {
namespace {

constexpr size_t kKeysPerTask = 2 * kWidthUnit;
constexpr size_t kRowsPerTask = 16;

// Where a query's keys lie: all of the sequence, or at most `window` away.
TokenRange visible(const Config& c, const Layer& layer, size_t query, size_t size) {
  if (!layer.sliding) return {0, size};
  return {query > c.window ? query - c.window : 0, std::min(size, query + c.window + 1)};
}

// q and k: RMSNorm over each head, then RoPE at the token's place in its sequence; q also takes the attention scale.
void normalise_and_rotate(const Pass& pass, const Layer& layer) {
  const Config& c = pass.config;
  const Kernels& k = pass.kernels;
  const Rope& rope = layer.sliding ? pass.weights.rope_sliding : pass.weights.rope_full;
  const size_t half = c.head_dim / 2;
  const float scale = 1.0f / __builtin_sqrtf(c.query_pre_attn_scalar);
  const std::vector<TokenRange>& sequences = pass.work.sequences;

  pass.pool.parallel_for((pass.tokens + kRowsPerTask - 1) / kRowsPerTask, [&](size_t i, size_t) {
    size_t t = i * kRowsPerTask;
    const size_t end = std::min(t + kRowsPerTask, pass.tokens);
    auto sequence = std::upper_bound(sequences.begin(), sequences.end(), t,
                                     [](size_t token, const TokenRange& span) { return token < span.end; });
    for (; t < end; ++t) {
      if (t == sequence->end) ++sequence;
      const size_t position = t - sequence->begin;
      float* row = pass.work.qkv.data() + t * c.qkv_width();
      for (size_t h = 0; h < c.num_attention_heads + c.num_key_value_heads; ++h) {
        const bool query = h < c.num_attention_heads;
        float* head = row + h * c.head_dim;
        k.rms_norm(head, (query ? layer.q_norm : layer.k_norm).data(), c.rms_norm_eps, c.head_dim, head);
        k.rope(head, rope.cos.data() + position * half, rope.sin.data() + position * half, query ? scale : 1.0f,
               c.head_dim);
      }
    }
  });
}

// Keys and values as the two packed matrices of scores = q * K^T and mixed = softmax(scores) * V.
struct PackedHead {
  float* keys;           // panels of keys, each [head_dim][panel]
  float* values;         // panels of head_dim, each [padded keys][panel]
  size_t values_stride;  // from one panel of values to the next
};

PackedHead packed_head(const Pass& pass, size_t sequence, size_t kv_head) {
  const Config& c = pass.config;
  const Workspace& work = pass.work;
  const size_t padded = work.key_start[sequence + 1] - work.key_start[sequence];
  const size_t at = work.key_start[sequence] * c.kv_width() + kv_head * padded * c.head_dim;
  return {pass.work.keys.data() + at, pass.work.values.data() + at, padded * pass.kernels.gemm_f32.panel};
}

void pack_keys_and_values(const Pass& pass) {
  const Config& c = pass.config;
  const Gemm& gemm = pass.kernels.gemm_f32;
  const std::vector<size_t>& start = pass.work.key_start;
  pass.pool.parallel_for((start.back() + kKeysPerTask - 1) / kKeysPerTask, [&](size_t i, size_t) {
    size_t at = i * kKeysPerTask;
    const size_t end = std::min(at + kKeysPerTask, start.back());
    for (size_t sequence = 0; at < end; at = std::min(end, start[sequence + 1])) {
      sequence = static_cast<size_t>(std::upper_bound(start.begin(), start.end(), at) - start.begin()) - 1;
      const TokenRange span = pass.work.sequences[sequence];
      const size_t first = at - start[sequence];
      const size_t count = std::min(span.size(), std::min(end, start[sequence + 1]) - start[sequence]) - first;
      for (size_t g = 0; g < c.num_key_value_heads; ++g) {
        const float* k = pass.work.qkv.data() + (span.begin + first) * c.qkv_width() + c.q_width() + g * c.head_dim;
        const PackedHead head = packed_head(pass, sequence, g);
        gemm.pack(k, count, c.head_dim, c.qkv_width(), 1, head.keys + first * c.head_dim, c.head_dim * gemm.panel);
        gemm.pack(k + c.kv_width(), c.head_dim, count, 1, c.qkv_width(), head.values + first * gemm.panel,
                  head.values_stride);
      }
    }
  });
}

// One head's queries [tile.begin, tile.end) of a sequence against the keys that any of them sees.
void mix_tile(const Pass& pass, const Layer& layer, const QueryTile& tile, size_t h, float* scores) {
  const Config& c = pass.config;
  const Gemm& gemm = pass.kernels.gemm_f32;
  const TokenRange span = pass.work.sequences[tile.sequence];
  const size_t rows = tile.end - tile.begin, row = span.begin + tile.begin;
  const PackedHead head = packed_head(pass, tile.sequence, h / (c.num_attention_heads / c.num_key_value_heads));
  const size_t begin = visible(c, layer, tile.begin, span.size()).begin / kWidthUnit * kWidthUnit;
  const size_t end = visible(c, layer, tile.end - 1, span.size()).end;
  const size_t width = (end - begin + kWidthUnit - 1) / kWidthUnit * kWidthUnit;

  gemm.multiply(pass.work.qkv.data() + row * c.qkv_width() + h * c.head_dim, rows, c.qkv_width(),
                head.keys + begin * c.head_dim, width / gemm.panel, c.head_dim, c.head_dim * gemm.panel, scores, width);
  for (size_t r = 0; r < rows; ++r) {
    const TokenRange seen = visible(c, layer, tile.begin + r, span.size());
    pass.kernels.softmax(scores + r * width, seen.begin - begin, seen.end - begin, width);
  }
  gemm.multiply(scores, rows, width, head.values + begin * gemm.panel, c.head_dim / gemm.panel, end - begin,
                head.values_stride, pass.work.mixed.data() + row * c.q_width() + h * c.head_dim, c.q_width());
}

void mix(const Pass& pass, const Layer& layer) {
  const size_t heads = pass.config.num_attention_heads;
  pass.pool.parallel_for(pass.work.tiles.size() * heads, [&](size_t i, size_t slot) {
    float* scores = pass.work.scores.data() + slot * pass.work.scores_per_slot;
    mix_tile(pass, layer, pass.work.tiles[i / heads], i % heads, scores);
  });
}

}  // namespace

void attention(const Pass& pass, const Layer& layer) {
  const Config& c = pass.config;
  Workspace& work = pass.work;
  norm_rows(pass, work.hidden.data(), layer.input_layernorm, work.normed.data());
  apply(layer.qkv_proj, pass.pool, work.normed.data(), pass.tokens, c.hidden_size, work.qkv.data(), c.qkv_width());
  normalise_and_rotate(pass, layer);
  pack_keys_and_values(pass);
  mix(pass, layer);
  apply(layer.o_proj, pass.pool, work.mixed.data(), pass.tokens, c.q_width(), work.normed.data(), c.hidden_size);
  add_norm_rows(pass, work.normed.data(), layer.post_attention_layernorm);
}

}  // namespace gemlet
