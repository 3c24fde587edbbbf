#pragma once

#include <span>
#include <string_view>

#include "device/cpu/kernels/table.h"
#include "device/device.h"

namespace whet::cpu {

/// One instruction set of this build.
struct InstructionSet {
  std::string_view name;
  bool (*runs_here)();
  KernelTable<float> float_kernels;
  KernelTable<double> double_kernels;
};

/// All sets of this build, the plainest first.
std::span<const InstructionSet> instruction_sets();

/// The set of that name. Throws std::invalid_argument if there is none, or this processor lacks it.
const InstructionSet& find_instruction_set(std::string_view name);

/// The set that cpu_device() computes with.
const InstructionSet& chosen_instruction_set();

/// As cpu_device(), with a given set: tests compare them.
Device& cpu_device(DType dtype, Precision precision, const InstructionSet& set);

}  // namespace whet::cpu
