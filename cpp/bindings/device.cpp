#include "bindings/bindings.h"

namespace whet::bindings {

namespace {

py::dict defaults(std::span<const math::Option> options) {
  py::dict result;
  for (const math::Option& option : options) result[py::str(option.name.data(), option.name.size())] = option.value;
  return result;
}

template <class Info>
py::dict entry(const Info& info) {
  py::dict result;
  result["name"] = py::str(info.name.data(), info.name.size());
  result["options"] = defaults(info.options);
  return result;
}

}  // namespace

void bind_device(py::module_& module) {
  module.def("num_threads", &cpu::num_threads);
  module.def("set_num_threads", &cpu::set_num_threads, py::arg("n"));
  module.def("limit_threads_here", &cpu::limit_threads_here, py::arg("n"));
  module.def("instruction_set", &cpu::instruction_set);
  module.def("available_instruction_sets", &cpu::available_instruction_sets);
#if defined(__clang__)
  module.attr("compiler") = "Clang " __clang_version__;
#else
  module.attr("compiler") = "GCC " __VERSION__;
#endif

  module.def("activations", [] {
    py::list result;
    for (const auto& info : math::activations()) result.append(entry(info));
    return result;
  });
  module.def("losses", [] {
    py::list result;
    for (const auto& info : math::losses()) result.append(entry(info));
    return result;
  });
  module.def("optimizers", [] {
    py::list result;
    for (const auto& info : math::optimizers()) {
      py::dict item = entry(info);
      py::list slots;
      for (const char* slot : info.slots) slots.append(slot);
      item["slots"] = slots;
      result.append(item);
    }
    return result;
  });
}

}  // namespace whet::bindings
