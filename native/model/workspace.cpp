// workspace.cpp - the memory of one call, and the steps that sublayers share.   (chapter 5)
#include "model/workspace.h"

#include <algorithm>

namespace gemlet {
namespace {

constexpr size_t kQueryTile = 16;  // at most; times the heads that share keys a multiple of every ISA's tile
constexpr size_t kRowsPerTask = 8;
constexpr size_t kRowsWorthATask = 48;  // against one panel: some 5 us
constexpr size_t kRowBlock = 512;       // rows that stay in the second-level cache while panels pass by

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Row `row` of hidden, normed and prepared.
void open_row(const Pass& pass, const Buffer<float>& norm, const Linear& next, size_t row, size_t slot) {
  const size_t n = pass.config.hidden_size;
  float* normed = pass.work.scratch[slot].row.data();
  pass.kernels.rms_norm(pass.work.hidden.data() + row * n, norm.data(), pass.config.rms_norm_eps, n, normed);
  next.gemm->prepare(normed, n, pass.work.input.data() + row * next.row_bytes());
}

void close_row(const Pass& pass, const Buffer<float>& post_norm, size_t row) {
  const size_t n = pass.config.hidden_size;
  pass.kernels.add_rms_norm(pass.work.output() + row * n, post_norm.data(), pass.config.rms_norm_eps, n,
                            pass.work.hidden.data() + row * n);
}

// squares += x^2, row by row; x: rows in bf16.
void add_squares(const uint8_t* x, size_t rows, size_t stride, size_t k, std::vector<double>& squares) {
  squares.resize(k);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t j = 0; j < k; ++j) {
      const double value = bf16_to_f32(load<uint16_t>(x + row * stride + j * sizeof(uint16_t)));
      squares[j] += value * value;
    }
  }
}

}  // namespace

void Workspace::prepare(const Config& c, const Weights& weights, size_t threads) {
  tiles.clear();
  key_start.clear();
  size_t padded = 0, longest = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const size_t size = sequences[s].size(), count = (size + kQueryTile - 1) / kQueryTile;
    for (size_t t = 0; t < count; ++t) tiles.push_back({s, size * t / count, size * (t + 1) / count});
    key_start.push_back(padded);
    padded += round_up(size, kKeyUnit);
    longest = std::max(longest, round_up(size, kKeyUnit));
  }
  key_start.push_back(padded);

  const Gemm &scores = *weights.scores, &mixing = *weights.values;
  size_t widest = 0, middle_row = 0;  // layers may differ in their types
  for (const Layer& layer : weights.layers) {
    widest = std::max({widest, layer.qkv_proj.row_bytes(), layer.o_proj.row_bytes(), layer.gate_up_proj.row_bytes()});
    middle_row = std::max(middle_row, layer.down_proj.row_bytes());
  }
  const size_t tokens = sequences.back().end;
  hidden.reserve(tokens * c.hidden_size);
  input.reserve(tokens * widest);
  qkv.reserve(tokens * std::max(c.qkv_width(), c.hidden_size));
  gate_up.reserve(std::min(tokens, kSlice) * 2 * c.intermediate_size);
  middle.reserve(std::min(tokens, kSlice) * middle_row);
  keys.reserve(padded / kPanel * scores.panel_bytes(c.head_dim) * c.num_key_value_heads);
  values.reserve(c.head_dim / kPanel * mixing.panel_bytes(padded) * c.num_key_value_heads);

  const size_t rows = kQueryTile * c.num_attention_heads / c.num_key_value_heads;
  scratch.resize(threads);
  for (Scratch& s : scratch) {
    s.row.reserve(std::max({c.hidden_size, c.q_width(), c.intermediate_size}));
    s.query.reserve(rows * scores.row_bytes(c.head_dim));
    s.scores.reserve(rows * longest);
    s.share.reserve(rows * mixing.row_bytes(longest));
    s.mixed.reserve(rows * c.head_dim);
    s.scales.resize(rows);
  }
}

// A task is a block of rows against a panel, or against several when the rows are few.
void apply(const Pass& pass, const Linear& linear, const uint8_t* x, size_t rows, float* y, size_t ldy) {
  const size_t panels = linear.panels(), stride = linear.row_bytes();
  if (pass.squares) add_squares(x, rows, stride, linear.k, (*pass.squares)[&linear]);
  const size_t blocks = (rows + kRowBlock - 1) / kRowBlock;
  const size_t together = std::max<size_t>(1, kRowsWorthATask / rows);
  const size_t groups = std::min(panels, round_up((panels + together - 1) / together, pass.pool.threads()));
  pass.pool.parallel_for(blocks * groups, [&](size_t i, size_t) {
    const size_t block = i / groups, group = i % groups;
    const size_t row = rows * block / blocks, row_end = rows * (block + 1) / blocks;
    const size_t panel = panels * group / groups, panel_end = panels * (group + 1) / groups;
    linear.gemm->multiply(x + row * stride, row_end - row, stride, linear.panel(panel), panel_end - panel, linear.k,
                          linear.panel_bytes(), y + row * ldy + panel * kPanel, ldy);
  });
}

void for_rows(ThreadPool& pool, size_t rows, const std::function<void(size_t row, size_t slot)>& body) {
  pool.parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, [&](size_t i, size_t slot) {
    for (size_t row = i * kRowsPerTask; row < std::min(rows, (i + 1) * kRowsPerTask); ++row) body(row, slot);
  });
}

void norm_rows(const Pass& pass, const Buffer<float>& norm, const Linear& next) {
  Timed timed(pass.watch, kRows);
  for_rows(pass.pool, pass.tokens, [&](size_t row, size_t slot) { open_row(pass, norm, next, row, slot); });
}

void add_norm_rows(const Pass& pass, const Buffer<float>& post_norm, const Buffer<float>& norm, const Linear& next) {
  Timed timed(pass.watch, kRows);
  for_rows(pass.pool, pass.tokens, [&](size_t row, size_t slot) {
    close_row(pass, post_norm, row);
    open_row(pass, norm, next, row, slot);
  });
}

void add_rows(const Pass& pass, const Buffer<float>& post_norm) {
  Timed timed(pass.watch, kRows);
  for_rows(pass.pool, pass.tokens, [&](size_t row, size_t) { close_row(pass, post_norm, row); });
}

void final_norm(const Pass& pass, float* out) {
  const size_t n = pass.config.hidden_size;
  for_rows(pass.pool, pass.tokens, [&](size_t row, size_t) {
    pass.kernels.rms_norm(pass.work.hidden.data() + row * n, pass.weights.norm.data(), pass.config.rms_norm_eps, n,
                          out + row * n);
  });
}

}  // namespace gemlet
