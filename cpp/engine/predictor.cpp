#include "engine/predictor.h"

namespace whet {

void Predictor::predict(const State& state, const Features& input, Matrix output, Watch& watch) {
  runner_.for_blocks(state, input, [&](Pass& pass) {
    pass.output = rows_of(output, pass.first_row, pass.rows, state.dtype());
    runner_.program().forward(pass, watch);
  });
}

}  // namespace whet
