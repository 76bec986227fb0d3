// workspace.h - what one call needs while it runs, and the steps that share it.   (chapter 5)
#pragma once
#include <vector>

#include "model/layers.h"

namespace gemlet {

struct TokenRange {
  size_t begin, end;  // tokens of the batch
  size_t size() const { return end - begin; }
};

// Queries of one sequence that attention takes together; the walk depends on the sequence alone.
struct QueryTile {
  size_t sequence;
  size_t begin, end;  // tokens of the sequence
};

struct Workspace {
  std::vector<TokenRange> sequences;
  std::vector<size_t> key_start;  // where a sequence's packed keys begin; each is padded to kWidthUnit
  std::vector<QueryTile> tiles;
  Buffer<float> hidden;   // [tokens, hidden]         the residual stream
  Buffer<float> normed;   // [tokens, hidden]         a sublayer's input, then its output
  Buffer<float> qkv;      // [tokens, qkv_width]
  Buffer<float> mixed;    // [tokens, q_width]        attention's values, weighted
  Buffer<float> gate_up;  // [tokens, 2 * intermediate]
  Buffer<float> keys;     // packed, per sequence and key/value head
  Buffer<float> values;   // packed, per sequence and key/value head
  Buffer<float> scores;   // one tile's scores for each thread
  size_t scores_per_slot = 0;

  // Sizes everything for the sequences. Throws std::bad_alloc.
  void prepare(const Config& config, size_t threads);
};

// What every step sees.
struct Pass {
  const Config& config;
  const Weights& weights;
  const Kernels& kernels;
  ThreadPool& pool;
  Workspace& work;
  size_t tokens;
};

// y[rows, n] = x[rows, k] * W^T on all threads; ldx, ldy: distance between rows.
void apply(const Linear& linear, ThreadPool& pool, const float* x, size_t rows, size_t ldx, float* y, size_t ldy);

// hidden += post_norm(sublayer(pre_norm(hidden))): the two halves of a layer.
void attention(const Pass& pass, const Layer& layer);
void mlp(const Pass& pass, const Layer& layer);

// out[sequences, embedding_size] = dense(mean over each sequence of final_norm(hidden)).
void pool_and_project(const Pass& pass, float* out);

// y = rms_norm(x) for each token; may be in place.
void norm_rows(const Pass& pass, const float* x, const Buffer<float>& weight, float* y);
// hidden += rms_norm(x) for each token.
void add_norm_rows(const Pass& pass, const float* x, const Buffer<float>& weight);

}  // namespace gemlet
