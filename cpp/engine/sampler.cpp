#include "engine/sampler.h"

#include "core/error.h"

namespace whet {

Sampler::Sampler(std::shared_ptr<const Graph> graph, DType dtype, std::vector<double> numbers)
    : runner_(graph, dtype, Purpose::sample), numbers_(std::move(numbers)) {
  if (numbers_.size() != graph->numbers())
    fail("sample", "expected ", graph->numbers(), " numbers that a schedule gives, got ", numbers_.size());
}

void Sampler::sample(const State& state, ConstMatrix input, Matrix output, uint64_t seed, uint32_t number,
                     Watch& watch) {
  runner_.for_blocks(state, {input, {}}, [&](Pass& pass) {
    pass.seed = seed;
    pass.step = number;
    pass.numbers = numbers_.data();
    pass.output = rows_of(output, pass.first_row, pass.rows, state.dtype());
    runner_.program().forward(pass, watch);
  });
}

}  // namespace whet
