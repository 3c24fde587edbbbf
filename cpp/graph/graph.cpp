#include "graph/graph.h"

#include <algorithm>

#include "core/error.h"

namespace whet {

Graph::Graph(Shape input, std::vector<ParameterSpec> parameters)
    : shapes_{std::move(input)}, widths_{count(shapes_[0])}, parameters_(std::move(parameters)) {
  for (int64_t n : shapes_[0])
    if (n < 1) fail("graph", "expected an input with at least one feature, got shape ", to_string(shapes_[0]));
}

int Graph::add(const std::string& name, const NamedOptions& options, std::vector<int> inputs,
               std::vector<int> parameters) {
  auto op = make_op(name, options);
  std::vector<Shape> input_shapes, parameter_shapes;
  for (int value : inputs) input_shapes.push_back(shape(value));
  for (int p : parameters) {
    if (p < 0 || static_cast<size_t>(p) >= parameters_.size()) fail(name, "there is no parameter ", p);
    parameter_shapes.push_back(parameters_[static_cast<size_t>(p)].shape);
  }
  Shape output = op->output_shape(input_shapes, parameter_shapes);
  const int value = static_cast<int>(shapes_.size());
  nodes_.push_back({name, options, std::move(op), std::move(inputs), std::move(parameters), value});
  widths_.push_back(count(output));
  shapes_.push_back(std::move(output));
  output_ = value;
  return value;
}

void Graph::set_output(int value) {
  shape(value);
  output_ = value;
}

int Graph::add_target(Shape shape) {
  if (target_ >= 0) fail("graph", "there is a target already");
  widths_.push_back(count(shape));
  shapes_.push_back(std::move(shape));
  return target_ = static_cast<int>(shapes_.size()) - 1;
}

void Graph::set_loss(int value) {
  if (width(value) != 1) fail("loss", "expected one number for each row, got shape ", to_string(shape(value)));
  loss_ = value;
}

size_t Graph::numbers() const {
  int last = -1;
  for (const Node& node : nodes_) last = std::max(last, node.op->number());
  return static_cast<size_t>(last + 1);
}

bool Graph::needs_whole_batch() const {
  return std::ranges::any_of(nodes_, [](const Node& node) { return node.op->needs_whole_batch(); });
}

int Graph::dense_reader() const {
  const auto found = std::ranges::find_if(nodes_, [](const Node& node) {
    return std::ranges::find(node.inputs, 0) != node.inputs.end() && !node.op->reads_sparse();
  });
  if (found == nodes_.end() && output_ != 0 && loss_ != 0) return -1;
  return static_cast<int>(found - nodes_.begin());
}

OpMemory Graph::memory(const Node& node, int64_t rows) const {
  std::vector<Shape> inputs, parameters;
  for (int value : node.inputs) inputs.push_back(shape(value));
  for (int p : node.parameters) parameters.push_back(parameters_[static_cast<size_t>(p)].shape);
  const OpShapes shapes{inputs, parameters, shape(node.output)};
  return {node.op->kept_elements(shapes, rows), node.op->scratch_elements(shapes, rows)};
}

const Shape& Graph::shape(int value) const {
  if (value < 0 || static_cast<size_t>(value) >= shapes_.size()) fail("graph", "there is no value ", value);
  return shapes_[static_cast<size_t>(value)];
}

std::shared_ptr<const Graph> for_prediction(std::shared_ptr<const Graph> graph) {
  const auto& nodes = graph->nodes();
  if (graph->loss() < 0 && std::ranges::none_of(nodes, [](const Node& node) { return node.op->only_in_training(); }))
    return graph;
  std::vector<bool> needed(graph->values(), false);
  needed[static_cast<size_t>(graph->output())] = true;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
    if (needed[static_cast<size_t>(node->output)])
      for (int value : node->inputs) needed[static_cast<size_t>(value)] = true;

  auto bare = std::make_shared<Graph>(graph->shape(0), graph->parameters());
  std::vector<int> place(graph->values(), 0);  // of each value in the new graph
  const auto placed = [&](int value) -> int& { return place[static_cast<size_t>(value)]; };
  for (const Node& node : nodes) {
    if (!needed[static_cast<size_t>(node.output)]) continue;
    std::vector<int> inputs;
    for (int value : node.inputs) inputs.push_back(placed(value));
    placed(node.output) =
        node.op->only_in_training() ? inputs[0] : bare->add(node.name, node.options, inputs, node.parameters);
  }
  const int output = placed(graph->output());
  bare->set_output(output > 0 ? output : bare->add("identity", {}, {0}, {}));
  return bare;
}

}  // namespace whet
