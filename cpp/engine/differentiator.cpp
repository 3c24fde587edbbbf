#include "engine/differentiator.h"

namespace whet {

void Differentiator::differentiate(const State& state, ConstMatrix input, ConstMatrix output_gradient,
                                   Matrix input_gradient, Watch& watch) {
  const Program& program = runner_.program();
  runner_.for_blocks(state, {input, {}}, [&](Pass& pass) {
    pass.input_gradient = rows_of(input_gradient, pass.first_row, pass.rows, state.dtype());
    const Matrix start = program.output_gradient(pass);
    if (!start.data) return program.device().fill(pass.input_gradient, 0);  // no way leads there
    program.forward(pass, watch);
    program.device().copy(start, rows_of(output_gradient, pass.first_row, pass.rows, state.dtype()), false);
    program.backward(pass, watch);
  });
}

}  // namespace whet
