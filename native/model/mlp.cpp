// mlp.cpp - down(gelu_tanh(gate(x)) * up(x)).   (chapter 5)
#include <algorithm>

#include "model/workspace.h"

namespace gemlet {

// Slice by slice: gate and up are three times as wide as a token's other rows together.
void mlp(const Pass& pass, const Layer& layer) {
  const Config& c = pass.config;
  Workspace& work = pass.work;
  const size_t width = 2 * c.intermediate_size;
  for (size_t begin = 0; begin < pass.tokens; begin += kSlice) {
    const size_t rows = std::min(kSlice, pass.tokens - begin);
    {
      Timed timed(pass.watch, kLinears);
      apply(pass, layer.gate_up_proj, work.input.data(), pass.tokens, begin, rows, work.gate_up.data(), width);
    }
    {
      Timed timed(pass.watch, kRows);
      for_rows(pass.pool, rows, [&](size_t row, size_t slot) {
        const float* gate = work.gate_up.data() + row * width;
        float* activated = work.scratch[slot].row.data();
        pass.kernels.gelu_tanh_mul(gate, gate + c.intermediate_size, c.intermediate_size, activated);
        layer.down_proj.prepare(activated, work.middle.data(), rows, row);
      });
    }
    Timed timed(pass.watch, kLinears);
    apply(pass, layer.down_proj, work.middle.data(), rows, 0, rows, work.output() + begin * c.hidden_size,
          c.hidden_size);
  }
}

}  // namespace gemlet
