// pooling.cpp - the mean over each sequence, then the dense head.
#include <cstring>

#include "model/workspace.h"

namespace gemlet {

void pool_and_project(const Pass& pass, float* out) {
  Timed timed(pass.watch, kHead);
  const Config& c = pass.config;
  Workspace& work = pass.work;
  const size_t rows = work.sequences.size();
  final_norm(pass, work.hidden.data());

  Buffer<float> x(rows * c.hidden_size);
  pass.pool.parallel_for(rows, [&](size_t s, size_t) {
    const TokenRange span = work.sequences[s];
    pass.kernels.mean_rows(work.hidden.data() + span.begin * c.hidden_size, span.size(), c.hidden_size,
                           x.data() + s * c.hidden_size);
  });

  for (const Linear& dense : pass.weights.dense) {
    Buffer<uint8_t> prepared(rows * dense.row_bytes());
    for_rows(pass.pool, rows,
             [&](size_t row, size_t) { dense.prepare(x.data() + row * dense.k, prepared.data(), rows, row); });
    x = Buffer<float>(rows * dense.n);
    apply(pass, dense, prepared.data(), rows, 0, rows, x.data());
  }
  std::memcpy(out, x.data(), x.size() * sizeof(float));
}

}  // namespace gemlet
