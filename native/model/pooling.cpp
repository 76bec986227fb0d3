// pooling.cpp - the mean over each sequence, then the dense head.   (chapter 5)
#include <cstring>

#include "model/workspace.h"

namespace gemlet {

void pool_and_project(const Pass& pass, float* out) {
  const Config& c = pass.config;
  Workspace& work = pass.work;
  const size_t rows = work.sequences.size();
  norm_rows(pass, work.hidden.data(), pass.weights.norm, work.normed.data());

  Buffer<float> x(rows * c.hidden_size);
  pass.pool.parallel_for(rows, [&](size_t s, size_t) {
    const TokenRange span = work.sequences[s];
    pass.kernels.mean_rows(work.normed.data() + span.begin * c.hidden_size, span.size(), c.hidden_size,
                           x.data() + s * c.hidden_size);
  });

  size_t width = c.hidden_size;
  for (const Linear& dense : pass.weights.dense) {
    Buffer<float> y(rows * dense.n);
    apply(dense, pass.pool, x.data(), rows, width, y.data(), dense.n);
    x = std::move(y);
    width = dense.n;
  }
  std::memcpy(out, x.data(), rows * width * sizeof(float));
}

}  // namespace gemlet
