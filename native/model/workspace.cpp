// workspace.cpp - the memory of one call, and the steps that sublayers share.   (chapter 5)
#include "model/workspace.h"

#include <algorithm>

namespace gemlet {
namespace {

constexpr size_t kQueryTile = 48;  // a multiple of every ISA's tile rows
constexpr size_t kRowsPerTask = 16;
constexpr size_t kRowBlock = 96;  // rows that stay in the second-level cache while panels pass by
constexpr size_t kPanelGroup = 4;

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

void Workspace::prepare(const Config& c, size_t threads) {
  tiles.clear();
  key_start.clear();
  size_t padded = 0, longest = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const size_t size = sequences[s].size();
    for (size_t q = 0; q < size; q += kQueryTile) tiles.push_back({s, q, std::min(q + kQueryTile, size)});
    key_start.push_back(padded);
    padded += round_up(size, kWidthUnit);
    longest = std::max(longest, round_up(size, kWidthUnit));
  }
  key_start.push_back(padded);

  const size_t tokens = sequences.back().end;
  hidden.reserve(tokens * c.hidden_size);
  normed.reserve(tokens * c.hidden_size);
  qkv.reserve(tokens * c.qkv_width());
  mixed.reserve(tokens * c.q_width());
  gate_up.reserve(tokens * 2 * c.intermediate_size);
  keys.reserve(padded * c.kv_width());
  values.reserve(padded * c.kv_width());
  scores_per_slot = std::min(kQueryTile, longest) * longest;
  scores.reserve(threads * scores_per_slot);
}

void apply(const Linear& linear, ThreadPool& pool, const float* x, size_t rows, size_t ldx, float* y, size_t ldy) {
  const Gemm& gemm = *linear.gemm;
  const size_t groups = (linear.panels() + kPanelGroup - 1) / kPanelGroup;
  const size_t blocks = (rows + kRowBlock - 1) / kRowBlock;
  pool.parallel_for(blocks * groups, [&](size_t i, size_t) {
    const size_t row = i / groups * kRowBlock, panel = i % groups * kPanelGroup;
    gemm.multiply(x + row * ldx, std::min(kRowBlock, rows - row), ldx, linear.panel(panel),
                  std::min(kPanelGroup, linear.panels() - panel), linear.k, linear.k * gemm.panel,
                  y + row * ldy + panel * gemm.panel, ldy);
  });
}

void norm_rows(const Pass& pass, const float* x, const Buffer<float>& weight, float* y) {
  const size_t n = pass.config.hidden_size;
  pass.pool.parallel_for((pass.tokens + kRowsPerTask - 1) / kRowsPerTask, [&](size_t i, size_t) {
    const size_t end = std::min((i + 1) * kRowsPerTask, pass.tokens);
    for (size_t t = i * kRowsPerTask; t < end; ++t)
      pass.kernels.rms_norm(x + t * n, weight.data(), pass.config.rms_norm_eps, n, y + t * n);
  });
}

void add_norm_rows(const Pass& pass, const float* x, const Buffer<float>& weight) {
  const size_t n = pass.config.hidden_size;
  float* hidden = pass.work.hidden.data();
  pass.pool.parallel_for((pass.tokens + kRowsPerTask - 1) / kRowsPerTask, [&](size_t i, size_t) {
    const size_t end = std::min((i + 1) * kRowsPerTask, pass.tokens);
    for (size_t t = i * kRowsPerTask; t < end; ++t)
      pass.kernels.add_rms_norm(x + t * n, weight.data(), pass.config.rms_norm_eps, n, hidden + t * n);
  });
}

}  // namespace gemlet
