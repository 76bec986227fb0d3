// attention.cpp - q k v → q/k norm → RoPE → softmax over the window → o.
#include <algorithm>

#include "model/workspace.h"

namespace gemlet {
namespace {

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
  return {pass.work.packed_keys.data() + before / kPanel * keys,
          pass.work.values.data() + mixing.panel_bytes(before) * (c.head_dim / kPanel), values};
}

// Where q, k and v of a piece's first token lie.
float* projected(const Pass& pass, const Slice& slice, const Piece& piece) {
  const size_t token = pass.work.sequences[piece.sequence].begin + piece.begin;
  return pass.work.wide.data() + (token - slice.tokens.begin) * pass.config.qkv_width();
}

// The keys of a piece, normed and rotated, and their values.
void pack_keys_and_values(const Pass& pass, const Layer& layer, const Slice& slice, const Piece& piece) {
  const Config& c = pass.config;
  const Gemm &scores = *pass.weights.scores, &mixing = *pass.weights.values;
  const size_t count = piece.end - piece.begin, panel = scores.panel_bytes(c.head_dim);
  for (size_t g = 0; g < c.num_key_value_heads; ++g) {
    float* k = projected(pass, slice, piece) + c.q_width() + g * c.head_dim;
    for (size_t i = 0; i < count; ++i)
      norm_and_rotate(pass, layer, layer.k_norm, piece.begin + i, 1, k + i * c.qkv_width());
    const PackedHead head = packed_head(pass, piece.sequence, g);
    scores.pack(k, count, c.head_dim, c.qkv_width(), head.keys + piece.begin / kPanel * panel, panel);
    mixing.pack_columns(k + c.kv_width(), c.head_dim, count, c.qkv_width(),
                        head.values + mixing.panel_bytes(piece.begin), head.values_stride);
  }
}

// Where the prepared queries of a piece lie: [heads][its queries].
uint8_t* prepared_queries(const Pass& pass, const Piece& piece, size_t head) {
  const Config& c = pass.config;
  const size_t before = (pass.work.sequences[piece.sequence].begin + piece.begin) * c.num_attention_heads;
  return pass.work.queries.data() +
         (before + head * (piece.end - piece.begin)) * pass.weights.scores->row_bytes(c.head_dim);
}

void prepare_queries(const Pass& pass, const Layer& layer, const Slice& slice, const Piece& piece) {
  const Config& c = pass.config;
  const Gemm& gemm = *pass.weights.scores;
  const float scale = 1.0f / __builtin_sqrtf(c.query_pre_attn_scalar);
  for (size_t h = 0; h < c.num_attention_heads; ++h) {
    uint8_t* prepared = prepared_queries(pass, piece, h);
    float* q = projected(pass, slice, piece) + h * c.head_dim;
    for (size_t position = piece.begin; position < piece.end; ++position, q += c.qkv_width()) {
      norm_and_rotate(pass, layer, layer.q_norm, position, scale, q);
      gemm.prepare(q, c.head_dim, prepared);
      prepared += gemm.row_bytes(c.head_dim);
    }
  }
}

// A piece's queries against the keys that any of its queries sees: scratch.mixed = softmax(q * K^T) * V, not yet
// divided by the sums of the softmax, which scratch.scales undoes. [heads that share kv_head][queries] rows.
void mix_values(const Pass& pass, const Layer& layer, const Piece& piece, size_t kv_head, Scratch& scratch) {
  const Config& c = pass.config;
  const Gemm &scoring = *pass.weights.scores, &mixing = *pass.weights.values;
  const size_t size = pass.work.sequences[piece.sequence].size(), queries = piece.end - piece.begin;
  const size_t shared = c.num_attention_heads / c.num_key_value_heads, rows = shared * queries;
  const PackedHead head = packed_head(pass, piece.sequence, kv_head);
  const size_t begin = visible(c, layer, piece.begin, size).begin / kKeyUnit * kKeyUnit;
  const size_t end = visible(c, layer, piece.end - 1, size).end;
  const size_t panels = (end - begin + kPanel - 1) / kPanel;
  const size_t width = (end - begin + kKeyUnit - 1) / kKeyUnit * kKeyUnit;
  const size_t key_panel = scoring.panel_bytes(c.head_dim), share = mixing.row_bytes(width);

  scoring.multiply(prepared_queries(pass, piece, kv_head * shared), rows, scoring.row_bytes(c.head_dim),
                   head.keys + begin / kPanel * key_panel, panels, c.head_dim, key_panel, scratch.scores.data(), width);
  for (size_t i = 0; i < rows; ++i) {
    const TokenRange seen = visible(c, layer, piece.begin + i % queries, size);
    float* scores = scratch.scores.data() + i * width;
    scratch.scales[i] =
        mixing.prepare_softmax(scores, seen.begin - begin, seen.end - begin, width, scratch.share.data() + i * share);
  }
  mixing.multiply(scratch.share.data(), rows, share, head.values + mixing.panel_bytes(begin), c.head_dim / kPanel,
                  end - begin, head.values_stride, scratch.mixed.data(), c.head_dim);
}

}  // namespace

void project(const Pass& pass, const Layer& layer, const Slice& slice) {
  Workspace& work = pass.work;
  {
    Timed timed(pass.watch, kLinears);
    const size_t rows = slice.tokens.size();
    apply(pass, layer.qkv_proj, work.input.data(), rows, 0, rows, work.wide.data());
  }
  Timed timed(pass.watch, kKeysAndValues);
  const size_t keys = slice.keys_end - slice.keys, queries = slice.queries_end - slice.queries;
  pass.pool.parallel_for(keys + queries, [&](size_t i, size_t) {
    if (i < keys) {
      pack_keys_and_values(pass, layer, slice, work.key_pieces[slice.keys + i]);
    } else {
      prepare_queries(pass, layer, slice, work.query_pieces[slice.queries + i - keys]);
    }
  });
}

void attend(const Pass& pass, const Layer& layer) {
  Timed timed(pass.watch, kScores);
  const Config& c = pass.config;
  Workspace& work = pass.work;
  const size_t shared = c.num_attention_heads / c.num_key_value_heads;
  pass.pool.parallel_for(work.query_pieces.size(), [&](size_t i, size_t slot) {
    const Piece& piece = work.query_pieces[i];
    const size_t queries = piece.end - piece.begin;
    Scratch& scratch = work.scratch[slot];
    for (size_t g = 0; g < c.num_key_value_heads; ++g) {
      mix_values(pass, layer, piece, g, scratch);
      for (size_t row = 0; row < shared * queries; ++row) {
        const size_t head = g * shared + row / queries;
        pass.kernels.scale(scratch.mixed.data() + row * c.head_dim, scratch.scales[row], c.head_dim,
                           scratch.heads.data() + row % queries * c.q_width() + head * c.head_dim);
      }
    }
    const size_t token = work.sequences[piece.sequence].begin + piece.begin;
    for (size_t q = 0; q < queries; ++q)
      layer.o_proj.prepare(scratch.heads.data() + q * c.q_width(), work.attended.data(), pass.tokens, token + q);
  });
}

void project_back(const Pass& pass, const Layer& layer, const Slice& slice) {
  Timed timed(pass.watch, kLinears);
  apply(pass, layer.o_proj, pass.work.attended.data(), pass.tokens, slice.tokens.begin, slice.tokens.size(),
        pass.work.output.data());
}

}  // namespace gemlet
