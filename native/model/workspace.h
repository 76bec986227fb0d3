// workspace.h - what one call needs while it runs, and the steps that share it.
#pragma once
#include <array>
#include <chrono>
#include <map>
#include <vector>

#include "model/layers.h"

namespace gemlet {

// Tokens that go through the linears together, at most; bounds the memory of their wide rows.
constexpr size_t kSlice = 128;

struct TokenRange {
  size_t begin, end;  // tokens of the batch
  size_t size() const { return end - begin; }
};

// Keys of one sequence that are packed together, kKeyUnit but for the last ones; and queries that are scored together.
struct Piece {
  size_t sequence;
  size_t begin, end;  // tokens of the sequence
};

// Tokens of whole pieces.
struct Slice {
  TokenRange tokens;
  size_t keys, keys_end;        // of Workspace::key_pieces
  size_t queries, queries_end;  // of Workspace::query_pieces
};

// What one thread needs in a loop.
struct Scratch {
  Buffer<float> row;          // the widest row
  Buffer<float> scores;       // of one piece's queries, of all heads that share keys
  Buffer<uint8_t> share;      // softmax(scores), prepared
  Buffer<float> mixed;        // the values, weighted
  std::vector<float> scales;  // of mixed: 1 / the sum of a row's softmax
  Buffer<float> heads;        // all heads of the piece side by side, scaled: [its queries, q_width]
};

struct Workspace {
  std::vector<TokenRange> sequences;
  std::vector<size_t> key_start;  // where a sequence's packed keys begin; each is padded to kKeyUnit
  std::vector<Piece> key_pieces, query_pieces;
  std::vector<Slice> slices;
  std::vector<Scratch> scratch;  // one for each thread

  // For all tokens.
  Buffer<float> hidden;                 // [tokens, hidden]    the residual stream
  Buffer<uint8_t> queries;              // prepared; of each piece [heads][its queries]
  Buffer<uint8_t> packed_keys, values;  // packed, per sequence and key/value head
  Buffer<uint8_t> attended;             // [tokens] prepared rows of o_proj

  // For the tokens of a slice.
  Buffer<uint8_t> input;  // prepared rows of the linear that comes next
  Buffer<float> wide;     // [qkv_width] or [2 * intermediate]
  Buffer<float> output;   // [hidden]    of a sublayer

  // The sequences into pieces and slices.
  void cut();
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

// y[rows, n] = x[rows, k] * W^T on all threads; x: the rows from `first` on of `count` prepared ones.
void apply(const Pass& pass, const Linear& linear, const uint8_t* x, size_t count, size_t first, size_t rows, float* y);

// The body of a loop over rows, in steps that are worth handing out.
void for_rows(ThreadPool& pool, size_t rows, const std::function<void(size_t row, size_t slot)>& body);

// Attention before every token's keys are known, and after: input → queries, keys, values of a slice; those of all
// tokens → attended; attended → output of a slice.
void project(const Pass& pass, const Layer& layer, const Slice& slice);
void attend(const Pass& pass, const Layer& layer);
void project_back(const Pass& pass, const Layer& layer, const Slice& slice);

// input → output.
void mlp(const Pass& pass, const Layer& layer, const Slice& slice);

// input = norm(hidden), prepared for `next`.
void norm_rows(const Pass& pass, const Slice& slice, const Buffer<float>& norm, const Linear& next);
// hidden += post_norm(output); then input = norm(hidden), prepared for `next`.
void add_norm_rows(const Pass& pass, const Slice& slice, const Buffer<float>& post_norm, const Buffer<float>& norm,
                   const Linear& next);
// hidden += post_norm(output).
void add_rows(const Pass& pass, const Slice& slice, const Buffer<float>& post_norm);

// out[tokens, hidden] = final_norm(hidden); out may be hidden.
void final_norm(const Pass& pass, float* out);

// out[sequences, embedding_size] = dense(mean over each sequence of final_norm(hidden)).
void pool_and_project(const Pass& pass, float* out);

}  // namespace gemlet
