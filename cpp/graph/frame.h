#pragma once

#include <limits>

#include "graph/program.h"

namespace whet {

/// A value whose rows are matrices with `width` columns, as one matrix of all their rows.
template <class M>
M lines(M x, int64_t width) {
  if (x.cols == width) return x;
  return {x.data, x.rows * (x.cols / width), width, width};
}

/// `cols` columns of x from `first`.
template <class M>
M column_block(M x, int64_t first, int64_t cols, DType dtype) {
  const auto* const data = static_cast<const std::byte*>(x.data) + static_cast<size_t>(first) * size_of(dtype);
  return {const_cast<std::byte*>(data), x.rows, cols, x.stride};
}

/// What an operation sees while it runs: its operands, for the rows of this batch.
class Frame {
 public:
  Frame(const Program& program, const Instruction& instruction, const Pass& pass)
      : program_(program), instruction_(instruction), pass_(pass) {}

  Device& device() const { return program_.device(); }
  int inputs() const { return static_cast<int>(instruction_.node->inputs.size()); }
  int parameters() const { return static_cast<int>(instruction_.node->parameters.size()); }

  ConstMatrix input(int i) const { return program_.value(pass_, instruction_.node->inputs[index(i)]); }
  /// Null where that input is dense.
  const SparseMatrix* sparse_input(int i) const {
    const bool sparse = instruction_.node->inputs[index(i)] == 0 && pass_.input.is_sparse();
    return sparse ? &pass_.input.sparse : nullptr;
  }
  Matrix output() const { return program_.value(pass_, instruction_.output); }
  const void* parameter(int i) const { return at(pass_.parameters, i); }
  const Shape& parameter_shape(int i) const { return program_.graph().parameters()[parameter_index(i)].shape; }

  const Shape& input_shape(int i) const { return program_.graph().shape(instruction_.node->inputs[index(i)]); }
  const Shape& output_shape() const { return program_.graph().shape(instruction_.node->output); }

  /// Whether statistics are those of the batch, and become running ones.
  bool training() const { return program_.purpose() == Purpose::train; }
  /// A running statistic, to be changed by `settle` alone: a step that fails leaves it as it was.
  void* statistic(int i) const { return const_cast<void*>(parameter(i)); }
  /// The op's own memory: from `forward` to `backward`, or within `backward`.
  void* kept() const { return pass_.arena + instruction_.kept; }
  void* scratch() const { return pass_.arena + instruction_.scratch; }
  int64_t rows() const { return pass_.rows; }

  /// What to apply to the result before it is stored, and where to keep what went into it (null data: nowhere).
  Activation activation() const { return instruction_.activation.value_or(Activation{}); }
  Matrix activation_input() const {
    return instruction_.activation_input < 0 ? Matrix{} : program_.value(pass_, instruction_.activation_input);
  }

  /// What to multiply the gradient of the only input by, once it is complete.
  Epilogue input_derivative() const {
    if (instruction_.before < 0) return {};
    const Instruction& before = program_.instructions()[index(instruction_.before)];
    return {.activation = *before.activation, .saved = program_.saved(pass_, before)};
  }

  /// Each node draws from a sequence of its own: its number stands where other streams have the epoch.
  RandomKey random_key(Stream stream) const {
    return {pass_.seed, stream, static_cast<uint32_t>(instruction_.node->output), pass_.step};
  }
  double number(int i) const { return pass_.numbers[i]; }
  int64_t first_row() const { return pass_.first_row; }

  ConstMatrix output_gradient() const { return program_.gradient(pass_, instruction_.output); }
  /// Null data where nobody needs it.
  Matrix input_gradient(int i) const {
    return instruction_.needs_input_gradient[index(i)] ? program_.gradient(pass_, instruction_.node->inputs[index(i)])
                                                       : Matrix{};
  }
  bool accumulates_input(int i) const { return instruction_.accumulates_input[index(i)]; }
  bool wants_parameter_gradient(int i) const {
    return pass_.gradients && program_.graph().parameters()[parameter_index(i)].trainable;
  }
  /// Null if it is not trained, or not wanted. No element of what the operation adds to it is beyond `bound`: if that
  /// is finite, nobody has to look whether they are.
  void* parameter_gradient(int i, double bound = std::numeric_limits<double>::infinity()) const {
    if (!wants_parameter_gradient(i)) return nullptr;
    if (pass_.bounds) pass_.bounds[parameter_index(i)] += bound;
    return const_cast<void*>(at(pass_.gradients, i));
  }
  bool accumulates_parameter(int i) const {
    return pass_.accumulate_gradients || instruction_.accumulates_parameter[index(i)];
  }

 private:
  static size_t index(int i) { return static_cast<size_t>(i); }
  size_t parameter_index(int i) const { return index(instruction_.node->parameters[index(i)]); }
  const void* at(const void* flat, int i) const {
    const auto offset = static_cast<size_t>(program_.layout().offsets[parameter_index(i)]);
    return static_cast<const std::byte*>(flat) + offset * size_of(device().dtype());
  }

  const Program& program_;
  const Instruction& instruction_;
  const Pass& pass_;
};

}  // namespace whet
