// mlp.cpp - down(gelu_tanh(gate(x)) * up(x)).
#include "model/workspace.h"

namespace gemlet {

void mlp(const Pass& pass, const Layer& layer, const Slice& slice) {
  const Config& c = pass.config;
  Workspace& work = pass.work;
  const size_t width = 2 * c.intermediate_size, rows = slice.tokens.size();
  {
    Timed timed(pass.watch, kLinears);
    apply(pass, layer.gate_up_proj, work.input.data(), rows, 0, rows, work.wide.data());
  }
  {
    Timed timed(pass.watch, kRows);
    for_rows(pass.pool, rows, [&](size_t row, size_t slot) {
      const float* gate = work.wide.data() + row * width;
      float* activated = work.scratch[slot].row.data();
      pass.kernels.gelu_tanh_mul(gate, gate + c.intermediate_size, c.intermediate_size, activated);
      layer.down_proj.prepare(activated, work.input.data(), rows, row);
    });
  }
  Timed timed(pass.watch, kLinears);
  apply(pass, layer.down_proj, work.input.data(), rows, 0, rows, work.output.data());
}

}  // namespace gemlet
