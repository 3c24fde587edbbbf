#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"
#include "graph/op.h"

namespace whet {

struct ParameterSpec {
  std::string name;
  Shape shape;
  bool trainable = true;  // else it is frozen, or a running statistic
};

/// One application of an operation: it reads values and parameters and makes the value `output`.
struct Node {
  std::string name;
  NamedOptions options;
  std::shared_ptr<const Op> op;
  std::vector<int> inputs, parameters;
  int output;
};

/// Elements of an operation's own memory: see Op::kept_elements.
struct OpMemory {
  int64_t kept = 0, scratch = 0;
};

/// A model as values and nodes. Value 0 is the input; a node can only read what is there already, so the nodes are in
/// topological order. The shapes are those of one row.
///
/// A graph may also hold the loss that it is trained with: from a second input, the target, a value of one element.
class Graph {
 public:
  Graph(Shape input, std::vector<ParameterSpec> parameters);

  /// Appends a node and returns its value. Throws std::invalid_argument if the shapes do not fit; the graph is then
  /// unchanged.
  int add(const std::string& op, const NamedOptions& options, std::vector<int> inputs, std::vector<int> parameters);

  /// Names the value that the model returns; the last one added if never called.
  void set_output(int value);

  /// Appends the second input, of that shape, and returns its value.
  int add_target(Shape shape);
  /// Names the value that is each row's loss.
  void set_loss(int value);

  int output() const { return output_; }
  int target() const { return target_; }  // or -1
  int loss() const { return loss_; }      // or -1
  /// Numbers that operations read and a schedule may change.
  size_t numbers() const;
  bool needs_whole_batch() const;
  /// The first node that reads the input and cannot read it sparse, the number of nodes if the input is itself a
  /// result, or -1.
  int dense_reader() const;
  OpMemory memory(const Node& node, int64_t rows) const;
  const Shape& shape(int value) const;
  int64_t width(int value) const { return widths_[static_cast<size_t>(value)]; }
  /// Elements from one row of a value to the next, in memory of our own: without gaps where a row is a matrix itself.
  int64_t stride(int value, DType dtype) const {
    return shape(value).size() > 1 ? width(value) : row_stride(width(value), dtype);
  }
  size_t values() const { return shapes_.size(); }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }

 private:
  std::vector<Shape> shapes_;
  std::vector<int64_t> widths_;  // their elements
  std::vector<ParameterSpec> parameters_;
  std::vector<Node> nodes_;
  int output_ = 0, target_ = -1, loss_ = -1;
};

/// The graph without the nodes that only training needs; itself if there are none.
std::shared_ptr<const Graph> for_prediction(std::shared_ptr<const Graph> graph);

}  // namespace whet
