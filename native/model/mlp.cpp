// mlp.cpp - down(gelu_tanh(gate(x)) * up(x)).   (chapter 5)
#include "model/workspace.h"

namespace gemlet {

void mlp(const Pass& pass, const Layer& layer) {
  const Config& c = pass.config;
  Workspace& work = pass.work;
  const size_t width = 2 * c.intermediate_size;
  norm_rows(pass, work.hidden.data(), layer.pre_feedforward_layernorm, work.normed.data());
  apply(layer.gate_up_proj, pass.pool, work.normed.data(), pass.tokens, c.hidden_size, work.gate_up.data(), width);
  pass.pool.parallel_for(pass.tokens, [&](size_t t, size_t) {
    float* gate = work.gate_up.data() + t * width;
    pass.kernels.gelu_tanh_mul(gate, gate + c.intermediate_size, c.intermediate_size);
  });
  apply(layer.down_proj, pass.pool, work.gate_up.data(), pass.tokens, width, work.normed.data(), c.hidden_size);
  add_norm_rows(pass, work.normed.data(), layer.post_feedforward_layernorm);
}

}  // namespace gemlet
