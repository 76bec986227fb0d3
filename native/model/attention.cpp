// attention.cpp - q k v → q/k norm → RoPE → softmax over the window → o.   (chapter 5)
#include <algorithm>

#include "model/workspace.h"

namespace gemlet {
namespace {

constexpr size_t kKeysPerTask = kKeyUnit;

// Where a query's keys lie: all of the sequence, or at most `window` away.
TokenRange visible(const Config& c, const Layer& layer, size_t query, size_t size) {
  if (!layer.sliding) return {0, size};
  return {query > c.window ? query - c.window : 0, std::min(size, query + c.window + 1)};
}

// One head of q or k in place: RMSNorm, then RoPE at the token's place in its sequence.
void norm_and_rotate(const Pass& pass, const Layer& layer, const Buffer<float>& norm, size_t position, float scale,
                     float* head) {
  const Rope& rope = layer.sliding ? *pass.weights.rope_sliding : *pass.weights.rope_full;
  const size_t n = pass.config.head_dim;
  pass.kernels.rms_norm(head, norm.data(), pass.config.rms_norm_eps, n, head);
  pass.kernels.rope(head, rope.cos(position), rope.sin(position), scale, n);
}

// Keys and values as the two packed matrices of scores = q * K^T and mixed = softmax(scores) * V.
struct PackedHead {
  uint8_t* keys;         // panels of keys
  uint8_t* values;       // panels of head_dim
  size_t values_stride;  // from one panel of values to the next
};

PackedHead packed_head(const Pass& pass, size_t sequence, size_t kv_head) {
  const Config& c = pass.config;
  const Gemm& mixing = *pass.weights.values;
  const size_t start = pass.work.key_start[sequence], padded = pass.work.key_start[sequence + 1] - start;
  const size_t keys = pass.weights.scores->panel_bytes(c.head_dim), values = mixing.panel_bytes(padded);
  const size_t before = start * c.num_key_value_heads + padded * kv_head;  // keys in front of this head's
  return {pass.work.keys.data() + before / kPanel * keys,
          pass.work.values.data() + mixing.panel_bytes(before) * (c.head_dim / kPanel), values};
}

// Keys [first, first + count) of a sequence, normed and rotated, and their values.
void pack_keys_and_values(const Pass& pass, const Layer& layer, size_t sequence, size_t first, size_t count) {
  const Config& c = pass.config;
  const Gemm &scores = *pass.weights.scores, &mixing = *pass.weights.values;
  const TokenRange span = pass.work.sequences[sequence];
  for (size_t g = 0; g < c.num_key_value_heads; ++g) {
    float* k = pass.work.qkv.data() + (span.begin + first) * c.qkv_width() + c.q_width() + g * c.head_dim;
    for (size_t i = 0; i < count; ++i) norm_and_rotate(pass, layer, layer.k_norm, first + i, 1, k + i * c.qkv_width());
    const PackedHead head = packed_head(pass, sequence, g);
    const size_t panel = scores.panel_bytes(c.head_dim);
    scores.pack(k, count, c.head_dim, c.qkv_width(), head.keys + first / kPanel * panel, panel);
    mixing.pack_columns(k + c.kv_width(), c.head_dim, count, c.qkv_width(), head.values + mixing.panel_bytes(first),
                        head.values_stride);
  }
}

void pack_keys_and_values(const Pass& pass, const Layer& layer) {
  const std::vector<size_t>& start = pass.work.key_start;
  pass.pool.parallel_for(start.back() / kKeysPerTask, [&](size_t i, size_t) {
    const size_t at = i * kKeysPerTask;
    const auto sequence = static_cast<size_t>(std::upper_bound(start.begin(), start.end(), at) - start.begin()) - 1;
    const size_t first = at - start[sequence];
    pack_keys_and_values(pass, layer, sequence, first,
                         std::min(kKeysPerTask, pass.work.sequences[sequence].size() - first));
  });
}

// The queries of a tile, of all heads that share the keys of kv_head, end to end: [heads][tile] rows.
void prepare_queries(const Pass& pass, const Layer& layer, const QueryTile& tile, size_t kv_head, Scratch& scratch) {
  const Config& c = pass.config;
  const Gemm& gemm = *pass.weights.scores;
  const size_t shared = c.num_attention_heads / c.num_key_value_heads, rows = tile.end - tile.begin;
  const size_t token = pass.work.sequences[tile.sequence].begin + tile.begin, stride = gemm.row_bytes(c.head_dim);
  const float scale = 1.0f / __builtin_sqrtf(c.query_pre_attn_scalar);
  for (size_t h = 0; h < shared; ++h) {
    for (size_t r = 0; r < rows; ++r) {
      float* q = pass.work.qkv.data() + (token + r) * c.qkv_width() + (kv_head * shared + h) * c.head_dim;
      norm_and_rotate(pass, layer, layer.q_norm, tile.begin + r, scale, q);
      gemm.prepare(q, c.head_dim, scratch.query.data() + (h * rows + r) * stride);
    }
  }
}

// One tile against the keys that any of its queries sees: scratch.mixed = softmax(q * K^T) * V, not yet divided by the
// sums of the softmax, which scratch.scales undoes. [heads that share kv_head][tile] rows.
void mix_values(const Pass& pass, const Layer& layer, const QueryTile& tile, size_t kv_head, Scratch& scratch) {
  const Config& c = pass.config;
  const Gemm &scoring = *pass.weights.scores, &mixing = *pass.weights.values;
  const size_t size = pass.work.sequences[tile.sequence].size(), tile_rows = tile.end - tile.begin;
  const size_t rows = c.num_attention_heads / c.num_key_value_heads * tile_rows;
  const PackedHead head = packed_head(pass, tile.sequence, kv_head);
  const size_t begin = visible(c, layer, tile.begin, size).begin / kKeyUnit * kKeyUnit;
  const size_t end = visible(c, layer, tile.end - 1, size).end;
  const size_t panels = (end - begin + kPanel - 1) / kPanel;
  const size_t width = (end - begin + kKeyUnit - 1) / kKeyUnit * kKeyUnit;
  const size_t key_panel = scoring.panel_bytes(c.head_dim), share = mixing.row_bytes(width);

  scoring.multiply(scratch.query.data(), rows, scoring.row_bytes(c.head_dim), head.keys + begin / kPanel * key_panel,
                   panels, c.head_dim, key_panel, scratch.scores.data(), width);
  for (size_t i = 0; i < rows; ++i) {
    const TokenRange seen = visible(c, layer, tile.begin + i % tile_rows, size);
    float* scores = scratch.scores.data() + i * width;
    scratch.scales[i] =
        mixing.prepare_softmax(scores, seen.begin - begin, seen.end - begin, width, scratch.share.data() + i * share);
  }
  mixing.multiply(scratch.share.data(), rows, share, head.values + mixing.panel_bytes(begin), c.head_dim / kPanel,
                  end - begin, head.values_stride, scratch.mixed.data(), c.head_dim);
}

// Every token's values, weighted and prepared for o_proj.
void mix(const Pass& pass, const Layer& layer) {
  const Config& c = pass.config;
  const size_t shared = c.num_attention_heads / c.num_key_value_heads;
  pass.pool.parallel_for(pass.work.tiles.size(), [&](size_t i, size_t slot) {
    const QueryTile& tile = pass.work.tiles[i];
    const size_t rows = tile.end - tile.begin;
    const size_t token = pass.work.sequences[tile.sequence].begin + tile.begin;
    Scratch& scratch = pass.work.scratch[slot];
    for (size_t g = 0; g < c.num_key_value_heads; ++g) {
      prepare_queries(pass, layer, tile, g, scratch);
      mix_values(pass, layer, tile, g, scratch);
      for (size_t h = 0; h < shared; ++h)
        for (size_t r = 0; r < rows; ++r)
          pass.kernels.scale(scratch.mixed.data() + (h * rows + r) * c.head_dim, scratch.scales[h * rows + r],
                             c.head_dim,
                             pass.work.qkv.data() + (token + r) * c.qkv_width() + (g * shared + h) * c.head_dim);
    }
    for (size_t r = 0; r < rows; ++r)
      layer.o_proj.prepare(pass.work.qkv.data() + (token + r) * c.qkv_width(), pass.work.input.data(), pass.tokens,
                           token + r);
  });
}

}  // namespace

void attention(const Pass& pass, const Layer& layer) {
  const Config& c = pass.config;
  Workspace& work = pass.work;
  {
    Timed timed(pass.watch, kLinears);
    apply(pass, layer.qkv_proj, work.input.data(), pass.tokens, 0, pass.tokens, work.qkv.data(), c.qkv_width());
  }
  {
    Timed timed(pass.watch, kKeysAndValues);
    pack_keys_and_values(pass, layer);
  }
  {
    Timed timed(pass.watch, kScores);
    mix(pass, layer);
  }
  Timed timed(pass.watch, kLinears);
  apply(pass, layer.o_proj, work.input.data(), pass.tokens, 0, pass.tokens, work.output(), c.hidden_size);
}

}  // namespace gemlet
