// workspace.cpp - the memory of one call, and the steps that sublayers share.
#include "model/workspace.h"

#include <algorithm>

namespace gemlet {
namespace {

constexpr size_t kQueryPiece = 16;  // at most; times the heads that share keys a multiple of every ISA's tile
constexpr size_t kRowsPerTask = 8;
constexpr size_t kRowsWorthATask = 48;  // against one panel: some 5 us
constexpr size_t kRowBlock = 512;       // rows that stay in the second-level cache while panels pass by

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Row `row` of a slice: of hidden, normed and prepared.
void open_row(const Pass& pass, const Slice& slice, const Buffer<float>& norm, const Linear& next, size_t row,
              size_t slot) {
  const size_t n = pass.config.hidden_size;
  float* normed = pass.work.scratch[slot].row.data();
  pass.kernels.rms_norm(pass.work.hidden.data() + (slice.tokens.begin + row) * n, norm.data(), pass.config.rms_norm_eps,
                        n, normed);
  next.prepare(normed, pass.work.input.data(), slice.tokens.size(), row);
}

void close_row(const Pass& pass, const Slice& slice, const Buffer<float>& post_norm, size_t row) {
  const size_t n = pass.config.hidden_size;
  pass.kernels.add_rms_norm(pass.work.output.data() + row * n, post_norm.data(), pass.config.rms_norm_eps, n,
                            pass.work.hidden.data() + (slice.tokens.begin + row) * n);
}

// A task is a block of rows against a panel, or against several when the rows are few.
void apply_part(ThreadPool& pool, const Part& part, size_t k, const uint8_t* x, size_t rows, size_t stride, float* y,
                size_t ldy) {
  const size_t panels = part.n / kPanel, panel_bytes = part.gemm->panel_bytes(k);
  const size_t blocks = (rows + kRowBlock - 1) / kRowBlock;
  const size_t together = std::max<size_t>(1, kRowsWorthATask / rows);
  const size_t groups = std::min(panels, round_up((panels + together - 1) / together, pool.threads()));
  pool.parallel_for(blocks * groups, [&](size_t i, size_t) {
    const size_t block = i / groups, group = i % groups;
    const size_t row = rows * block / blocks, row_end = rows * (block + 1) / blocks;
    const size_t panel = panels * group / groups, panel_end = panels * (group + 1) / groups;
    part.gemm->multiply(x + row * stride, row_end - row, stride, part.packed + panel * panel_bytes, panel_end - panel,
                        k, panel_bytes, y + row * ldy + panel * kPanel, ldy);
  });
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

void Workspace::cut() {
  key_pieces.clear();
  query_pieces.clear();
  slices.clear();
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (size_t begin = 0; begin < sequences[s].size(); begin += kKeyUnit) {
      const size_t count = std::min(kKeyUnit, sequences[s].size() - begin), token = sequences[s].begin + begin;
      if (slices.empty() || token + count - slices.back().tokens.begin > kSlice)
        slices.push_back({{token, token}, key_pieces.size(), 0, query_pieces.size(), 0});
      key_pieces.push_back({s, begin, begin + count});
      const size_t parts = (count + kQueryPiece - 1) / kQueryPiece;
      for (size_t p = 0; p < parts; ++p)
        query_pieces.push_back({s, begin + count * p / parts, begin + count * (p + 1) / parts});
      slices.back().tokens.end = token + count;
      slices.back().keys_end = key_pieces.size();
      slices.back().queries_end = query_pieces.size();
    }
  }
}

void Workspace::prepare(const Config& c, const Weights& weights, size_t threads) {
  cut();
  key_start.assign(1, 0);
  size_t longest = 0;
  for (const TokenRange& sequence : sequences) {
    const size_t padded = round_up(sequence.size(), kKeyUnit);
    key_start.push_back(key_start.back() + padded);
    longest = std::max(longest, padded);
  }

  const Gemm &scores = *weights.scores, &mixing = *weights.values;
  size_t input_row = 0, attended_row = 0;  // layers may differ in their types
  for (const Layer& layer : weights.layers) {
    for (const Linear* linear : {&layer.qkv_proj, &layer.gate_up_proj, &layer.down_proj})
      input_row = std::max(input_row, linear->row_bytes());
    attended_row = std::max(attended_row, layer.o_proj.row_bytes());
  }
  const size_t tokens = sequences.back().end, most = std::min(tokens, kSlice), padded = key_start.back();
  hidden.reserve(tokens * c.hidden_size);
  queries.reserve(tokens * c.num_attention_heads * scores.row_bytes(c.head_dim));
  packed_keys.reserve(padded / kPanel * scores.panel_bytes(c.head_dim) * c.num_key_value_heads);
  values.reserve(c.head_dim / kPanel * mixing.panel_bytes(padded) * c.num_key_value_heads);
  attended.reserve(tokens * attended_row);
  input.reserve(most * input_row);
  wide.reserve(most * std::max(c.qkv_width(), 2 * c.intermediate_size));
  output.reserve(most * c.hidden_size);

  const size_t rows = kQueryPiece * c.num_attention_heads / c.num_key_value_heads;
  scratch.resize(threads);
  for (Scratch& s : scratch) {
    s.row.reserve(std::max(c.hidden_size, c.intermediate_size));
    s.scores.reserve(rows * longest);
    s.share.reserve(rows * mixing.row_bytes(longest));
    s.mixed.reserve(rows * c.head_dim);
    s.scales.resize(rows);
    s.heads.reserve(kQueryPiece * c.q_width());
  }
}

void apply(const Pass& pass, const Linear& linear, const uint8_t* x, size_t count, size_t first, size_t rows,
           float* y) {
  for (const Part& part : linear.parts) {
    const size_t stride = part.gemm->row_bytes(linear.k);
    const uint8_t* from = x + part.before * count + first * stride;
    if (pass.squares) add_squares(from, rows, stride, linear.k, (*pass.squares)[&linear]);
    apply_part(pass.pool, part, linear.k, from, rows, stride, y, linear.n);
    y += part.n;
  }
}

void for_rows(ThreadPool& pool, size_t rows, const std::function<void(size_t row, size_t slot)>& body) {
  pool.parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, [&](size_t i, size_t slot) {
    for (size_t row = i * kRowsPerTask; row < std::min(rows, (i + 1) * kRowsPerTask); ++row) body(row, slot);
  });
}

void norm_rows(const Pass& pass, const Slice& slice, const Buffer<float>& norm, const Linear& next) {
  Timed timed(pass.watch, kRows);
  for_rows(pass.pool, slice.tokens.size(),
           [&](size_t row, size_t slot) { open_row(pass, slice, norm, next, row, slot); });
}

void add_norm_rows(const Pass& pass, const Slice& slice, const Buffer<float>& post_norm, const Buffer<float>& norm,
                   const Linear& next) {
  Timed timed(pass.watch, kRows);
  for_rows(pass.pool, slice.tokens.size(), [&](size_t row, size_t slot) {
    close_row(pass, slice, post_norm, row);
    open_row(pass, slice, norm, next, row, slot);
  });
}

void add_rows(const Pass& pass, const Slice& slice, const Buffer<float>& post_norm) {
  Timed timed(pass.watch, kRows);
  for_rows(pass.pool, slice.tokens.size(), [&](size_t row, size_t) { close_row(pass, slice, post_norm, row); });
}

void final_norm(const Pass& pass, float* out) {
  const size_t n = pass.config.hidden_size;
  for_rows(pass.pool, pass.tokens, [&](size_t row, size_t) {
    pass.kernels.rms_norm(pass.work.hidden.data() + row * n, pass.weights.norm.data(), pass.config.rms_norm_eps, n,
                          out + row * n);
  });
}

}  // namespace gemlet
