// workspace.h - what one call needs while it runs, and the steps that share it.   (chapter 5)
#pragma once
#include <array>
#include <chrono>
#include <map>
#include <vector>

#include "model/layers.h"

namespace gemlet {

// Tokens that the MLP takes together; bounds the memory of its wide rows.
constexpr size_t kSlice = 256;

struct TokenRange {
  size_t begin, end;  // tokens of the batch
  size_t size() const { return end - begin; }
};

// Queries of one sequence that attention takes together.
struct QueryTile {
  size_t sequence;
  size_t begin, end;  // tokens of the sequence
};

// What one thread needs in a loop.
struct Scratch {
  Buffer<float> row;          // the widest row
  Buffer<uint8_t> query;      // one tile's queries of all heads that share keys, prepared
  Buffer<float> scores;       // their scores
  Buffer<uint8_t> share;      // softmax(scores), prepared
  Buffer<float> mixed;        // the values, weighted
  std::vector<float> scales;  // of mixed: 1 / the sum of a row's softmax
};

struct Workspace {
  std::vector<TokenRange> sequences;
  std::vector<size_t> key_start;  // where a sequence's packed keys begin; each is padded to kKeyUnit
  std::vector<QueryTile> tiles;
  std::vector<Scratch> scratch;  // one for each thread
  Buffer<float> hidden;          // [tokens, hidden]          the residual stream
  Buffer<uint8_t> input;         // [tokens] prepared rows    of the linear that comes next
  Buffer<float> qkv;             // [tokens, qkv_width]
  Buffer<float> gate_up;         // [tokens of a slice, 2 * intermediate]
  Buffer<uint8_t> middle;        // [tokens of a slice] prepared rows    of the down projection
  Buffer<uint8_t> keys, values;  // packed, per sequence and key/value head

  // [tokens, hidden], of a sublayer; lies where q, k and v were, which nobody needs any more.
  float* output() { return qkv.data(); }

  // Sizes everything for the sequences. Throws std::bad_alloc.
  void prepare(const Config& config, const Weights& weights, size_t threads);
};

// Where the time of a call goes, in seconds.
enum Stage { kEmbedding, kRows, kLinears, kKeysAndValues, kScores, kHead, kStages };
using Stopwatch = std::array<double, kStages>;

class Timed {
 public:
  Timed(Stopwatch* watch, Stage stage) : watch_(watch), stage_(stage), start_(watch ? now() : 0) {}
  ~Timed() {
    if (watch_) (*watch_)[stage_] += now() - start_;
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  Stopwatch* const watch_;
  const Stage stage_;
  const double start_;
};

// For each linear the sum over tokens of the square of each of its inputs: [k].
using Squares = std::map<const Linear*, std::vector<double>>;

// What every step sees.
struct Pass {
  const Config& config;
  const Weights& weights;
  const Kernels& kernels;
  ThreadPool& pool;
  Workspace& work;
  size_t tokens;
  Stopwatch* watch = nullptr;  // null: nobody asks
  Squares* squares = nullptr;  // null: nobody asks; else the linears are bf16
};

// y[rows, n] = x[rows, k] * W^T on all threads; x: the rows from `first` on of `count` prepared ones; ldy: distance
// between rows of y.
void apply(const Pass& pass, const Linear& linear, const uint8_t* x, size_t count, size_t first, size_t rows, float* y,
           size_t ldy);

// The body of a loop over rows, in steps that are worth handing out.
void for_rows(ThreadPool& pool, size_t rows, const std::function<void(size_t row, size_t slot)>& body);

// output = sublayer(input): the two halves of a layer.
void attention(const Pass& pass, const Layer& layer);
void mlp(const Pass& pass, const Layer& layer);

// input = norm(hidden), prepared for `next`.
void norm_rows(const Pass& pass, const Buffer<float>& norm, const Linear& next);
// hidden += post_norm(output); then input = norm(hidden), prepared for `next`.
void add_norm_rows(const Pass& pass, const Buffer<float>& post_norm, const Buffer<float>& norm, const Linear& next);
// hidden += post_norm(output).
void add_rows(const Pass& pass, const Buffer<float>& post_norm);

// out[tokens, hidden] = final_norm(hidden).
void final_norm(const Pass& pass, float* out);

// out[sequences, embedding_size] = dense(mean over each sequence of final_norm(hidden)).
void pool_and_project(const Pass& pass, float* out);

}  // namespace gemlet
