#include "graph/program.h"

#include <algorithm>

#include "core/error.h"
#include "graph/frame.h"
#include "graph/memory_plan.h"
#include "graph/watch.h"

namespace whet {

namespace {

size_t at(int i) { return static_cast<size_t>(i); }

bool keeps_drawing(Purpose purpose) { return purpose == Purpose::sample || purpose == Purpose::train; }

}  // namespace

ParameterLayout::ParameterLayout(const std::vector<ParameterSpec>& parameters, DType dtype) {
  for (const ParameterSpec& parameter : parameters) {
    offsets.push_back(size);
    size += padded_columns(count(parameter.shape), dtype);
  }
}

Program::Program(std::shared_ptr<const Graph> graph, Device& device, int64_t max_rows, Purpose purpose)
    : graph_(keeps_drawing(purpose) ? std::move(graph) : for_prediction(std::move(graph))),
      device_(&device),
      purpose_(purpose),
      max_rows_(max_rows),
      layout_(graph_->parameters(), device.dtype()),
      needs_gradient_(graph_->values(), false),
      value_offsets_(graph_->values(), -1),
      gradient_offsets_(graph_->values(), -1) {
  fuse();
  if (has_backward()) {
    mark_gradients();
    fuse_derivatives();
  }
  place();
}

/// One instruction per node that the output depends on, except that an activation joins the operation before it where
/// that operation can apply it and nobody else reads what lies between.
void Program::fuse() {
  const auto& nodes = graph_->nodes();
  std::vector<int> readers(graph_->values(), 0);
  readers[at(graph_->output())] = 1;
  if (graph_->loss() >= 0) ++readers[at(graph_->loss())];
  std::vector<bool> live(nodes.size(), false);
  for (size_t n = nodes.size(); n-- > 0;) {
    live[n] = readers[at(nodes[n].output)] > 0;
    if (live[n])
      for (int value : nodes[n].inputs) ++readers[at(value)];
  }

  std::vector<int> maker(graph_->values(), -1);  // the instruction whose output a value is
  for (size_t n = 0; n < nodes.size(); ++n) {
    if (!live[n]) continue;
    const Node& node = nodes[n];
    if (const ActivationCall* call = node.op->as_activation()) {
      const int before = node.inputs[0];
      const int i = maker[at(before)];
      if (i >= 0 && readers[at(before)] == 1 && before != graph_->output()) {
        Instruction& host = instructions_[at(i)];
        if (host.node->op->fuses_activation() && !host.activation && math::is_fused(call->activation.id)) {
          host.activation = call->activation;
          host.saved = call->saved;
          host.output = node.output;
          host.activation_input = call->saved == math::Saved::input ? before : -1;
          maker[at(node.output)] = i;
          continue;
        }
      }
    }
    maker[at(node.output)] = static_cast<int>(instructions_.size());
    Instruction instruction;
    instruction.node = &node;
    instruction.output = node.output;
    instructions_.push_back(std::move(instruction));
  }
}

/// Which gradients are needed, and which contribution to each is the first: it overwrites, the others accumulate.
void Program::mark_gradients() {
  const bool of_input = purpose_ == Purpose::differentiate;
  needs_gradient_[0] = of_input;
  for (const Instruction& instruction : instructions_) {
    const Node& node = *instruction.node;
    needs_gradient_[at(instruction.output)] =
        node.op->differentiable() &&
        ((!of_input &&
          std::ranges::any_of(node.parameters, [&](int p) { return graph_->parameters()[at(p)].trainable; })) ||
         std::ranges::any_of(node.inputs, [&](int value) { return needs_gradient_[at(value)]; }));
  }
  // Where no way leads on to what the backward pass starts from, none arrives.
  std::vector<bool> reached(graph_->values(), false);
  reached[at(start())] = true;
  for (auto instruction = instructions_.rbegin(); instruction != instructions_.rend(); ++instruction) {
    if (!reached[at(instruction->output)] || !needs_gradient_[at(instruction->output)]) continue;
    for (int value : instruction->node->inputs) reached[at(value)] = true;
  }
  for (size_t v = 0; v < reached.size(); ++v) needs_gradient_[v] = needs_gradient_[v] && reached[v];

  std::vector<bool> value_written(graph_->values(), false), parameter_written(graph_->parameters().size(), false);
  for (size_t i = instructions_.size(); i-- > 0;) {
    Instruction& instruction = instructions_[i];
    const bool reverses = needs_gradient_[at(instruction.output)];
    for (int value : instruction.node->inputs) {
      instruction.needs_input_gradient.push_back(reverses && needs_gradient_[at(value)]);
      instruction.accumulates_input.push_back(value_written[at(value)]);
      if (reverses) value_written[at(value)] = true;
    }
    for (int parameter : instruction.node->parameters) {
      instruction.accumulates_parameter.push_back(parameter_written[at(parameter)]);
      parameter_written[at(parameter)] = true;
    }
  }
}

/// The last to add to a gradient, if it can, also multiplies it by the derivative of the activation that made the
/// value.
void Program::fuse_derivatives() {
  std::vector<int> reader(graph_->values(), -1);
  for (size_t i = instructions_.size(); i-- > 0;) {
    const Instruction& instruction = instructions_[i];
    if (!needs_gradient_[at(instruction.output)]) continue;
    for (int value : instruction.node->inputs) reader[at(value)] = static_cast<int>(i);
  }
  for (size_t i = 0; i < instructions_.size(); ++i) {
    Instruction& instruction = instructions_[i];
    int last = reader[at(instruction.output)];
    // What scales the gradient and is alone in adding to it can do so after the derivative.
    while (last >= 0 && instructions_[at(last)].node->op->scales_gradient() &&
           !instructions_[at(last)].accumulates_input[0])
      last = reader[at(instructions_[at(last)].output)];
    if (!instruction.activation || last < 0 || !instructions_[at(last)].node->op->fuses_activation()) continue;
    instructions_[at(last)].before = static_cast<int>(i);
    instruction.differentiated = true;
  }
}

/// Lifetimes on a time axis on which instruction i runs forward at i and backward at 2 n - i, with the loss at n.
void Program::place() {
  const bool returns = has_backward();
  const int n = static_cast<int>(instructions_.size());
  const int end = returns ? 2 * n + 1 : n;
  constexpr int kNever = -1;
  std::vector<int> first(graph_->values(), kNever), last(graph_->values(), kNever),
      gradient_first(graph_->values(), kNever), gradient_last(graph_->values(), kNever);
  const auto make = [&](int value, int time) { first[at(value)] = last[at(value)] = time; };
  const auto read = [&](int value, int time) { last[at(value)] = std::max(last[at(value)], time); };

  for (int i = 0; i < n; ++i) {
    const Instruction& instruction = instructions_[at(i)];
    const Op& op = *instruction.node->op;
    const int backward = 2 * n - i;
    const bool reverses = returns && needs_gradient_[at(instruction.output)];
    make(instruction.output, i);
    if (instruction.activation_input >= 0 && reverses) make(instruction.activation_input, i);
    for (int value : instruction.node->inputs) read(value, reverses && op.backward_reads_inputs() ? backward : i);
    if (!reverses) continue;
    if (instruction.activation_input >= 0)
      read(instruction.activation_input, backward);
    else if (instruction.activation || op.backward_reads_output())
      read(instruction.output, backward);
    gradient_last[at(instruction.output)] = backward;
    for (int value :
         instruction.node->inputs)  // later instructions run backward earlier, so the last one seen is first
      if (needs_gradient_[at(value)]) gradient_first[at(value)] = backward;
  }
  read(graph_->output(), n);
  read(start(), n);
  if (returns && needs_gradient_[at(start())]) gradient_first[at(start())] = n;

  std::vector<Lifetime> buffers;
  std::vector<int64_t*> places;
  const auto element = static_cast<int64_t>(size_of(device_->dtype()));
  const auto request_bytes = [&](int64_t bytes, int from, int to, int64_t& place) {
    buffers.push_back({bytes, from, std::min(to, end)});
    places.push_back(&place);
  };
  const auto request = [&](int value, int from, int to, int64_t& place) {
    if (from == kNever) return;
    int64_t bytes;
    if (__builtin_mul_overflow(graph_->stride(value, device_->dtype()) * element, max_rows_, &bytes))
      throw std::bad_alloc();
    request_bytes(bytes, from, to, place);
  };
  for (int i = 0; i < n; ++i) {
    Instruction& instruction = instructions_[at(i)];
    const bool reverses = returns && needs_gradient_[at(instruction.output)];
    const int backward = 2 * n - i;
    const OpMemory memory = graph_->memory(*instruction.node, max_rows_);
    // At n, before the backward pass, running statistics settle.
    const int last_use = reverses ? backward : returns ? n : i;
    if (memory.kept > 0) request_bytes(memory.kept * element, i, last_use, instruction.kept);
    if (memory.scratch > 0 && reverses)
      request_bytes(memory.scratch * element, backward, backward, instruction.scratch);
  }
  for (size_t v = 1; v < graph_->values(); ++v) {
    if (static_cast<int>(v) == graph_->target()) continue;
    request(static_cast<int>(v), first[v], last[v], value_offsets_[v]);
    request(static_cast<int>(v), gradient_first[v], gradient_last[v], gradient_offsets_[v]);
  }
  const MemoryPlan plan = plan_memory(buffers);
  for (size_t i = 0; i < places.size(); ++i) *places[i] = plan.offsets[i];
  arena_bytes_ = static_cast<size_t>(plan.bytes);
}

Matrix Program::matrix(const Pass& pass, int64_t offset, int value) const {
  if (offset < 0) return {};
  return {pass.arena + offset, pass.rows, graph_->width(value), graph_->stride(value, device_->dtype())};
}

Matrix Program::value(const Pass& pass, int value) const {
  // The caller's input is only ever read: nothing writes value 0.
  if (value == 0) {
    const ConstMatrix& input = pass.input.dense;
    return {const_cast<void*>(input.data), pass.rows, input.cols, input.stride};
  }
  if (value == graph_->target())
    return {const_cast<void*>(pass.target.data), pass.rows, pass.target.cols, pass.target.stride};
  if (value == graph_->output() && pass.output.data) return pass.output;
  return matrix(pass, value_offsets_[at(value)], value);
}

Matrix Program::gradient(const Pass& pass, int value) const {
  if (value == 0) return pass.input_gradient;
  return matrix(pass, gradient_offsets_[at(value)], value);
}

Matrix Program::saved(const Pass& pass, const Instruction& instruction) const {
  return value(pass, instruction.saved == math::Saved::input ? instruction.activation_input : instruction.output);
}

/// Fewer rows are over before anybody waits.
constexpr int64_t kWatchedRows = kSlabRows;

void Program::forward(size_t i, const Pass& pass) const {
  instructions_[i].node->op->forward(Frame(*this, instructions_[i], pass));
}

void Program::backward(size_t i, const Pass& pass) const {
  if (!reverses(i)) return;
  const Instruction& instruction = instructions_[i];
  if (instruction.activation && !instruction.differentiated) {
    // In place: every reader of the output has added its part, and nobody reads this gradient again.
    const Matrix dy = gradient(pass, instruction.output);
    device_->activate_backward(dy, dy, saved(pass, instruction), *instruction.activation, false);
  }
  instruction.node->op->backward(Frame(*this, instruction, pass));
}

void Program::forward(const Pass& pass, Watch& watch) const {
  for (size_t i = 0; i < instructions_.size(); ++i) {
    forward(i, pass);
    if (pass.rows > kWatchedRows) watch.poll();
  }
}

void Program::backward(const Pass& pass, Watch& watch) const {
  if (pass.settles)
    for (const Instruction& instruction : instructions_) instruction.node->op->settle(Frame(*this, instruction, pass));
  // Where running statistics have settled, the step has begun to change the model: nothing may abandon it.
  const bool watched = pass.rows > kWatchedRows && !(pass.settles && graph_->needs_whole_batch());
  for (size_t i = instructions_.size(); i-- > 0;) {
    backward(i, pass);
    if (watched) watch.poll();
  }
}

}  // namespace whet
