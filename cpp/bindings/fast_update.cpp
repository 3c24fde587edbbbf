#include <limits>

#include "bindings/fast_ops.h"

namespace whet::bindings::fast {

namespace {

enum { name_, parameter_, gradient_, state_, betas_ };

/// What an option has to be, as the classes of whet.optim say.
enum class Kind { from_zero, any_number, flag, no_keyword };

Kind kind_of(std::string_view option) {
  if (option == "dampening") return Kind::any_number;
  if (option == "nesterov") return Kind::flag;
  if (option == "beta1" || option == "beta2") return Kind::no_keyword;  // given together, as betas
  return Kind::from_zero;
}

struct Entry {
  explicit Entry(const math::OptimizerInfo& of) : info(of), options(of.options) {
    for (const math::Option& option : of.options) kinds.push_back(kind_of(option.name));
    for (const char* const slot : of.slots) slots.add(slot);
  }

  const math::OptimizerInfo& info;
  Names options;
  std::vector<Kind> kinds;
  Names slots;
};

const Entry& entry_of(math::OptimizerId id) {
  static const std::vector<Entry> entries(math::optimizers().begin(), math::optimizers().end());
  return entries[static_cast<size_t>(id)];
}

struct Sweep {
  const Entry* entry;
  math::OptionValues numbers;
};

bool read_options(const Entry& entry, const Call& call, math::OptionValues& numbers) {
  for (const auto [option, value] : call.options()) {
    const auto place = entry.options.find(option);
    if (!place) return false;
    const Kind kind = entry.kinds[*place];
    if (kind == Kind::flag) {
      const auto given = flag(value);
      if (!given) return false;
      numbers[*place] = *given;
    } else {
      const auto given = number(value);
      if (!given || kind == Kind::no_keyword || (kind == Kind::from_zero && *given < 0)) return false;
      numbers[*place] = *given;
    }
  }
  return true;
}

bool read_betas(PyObject* betas, double& beta1, double& beta2) {
  if (!PyTuple_CheckExact(betas) || PyTuple_GET_SIZE(betas) != 2) return false;
  const auto first = number(PyTuple_GET_ITEM(betas, 0)), second = number(PyTuple_GET_ITEM(betas, 1));
  if (!first || !second || *first < 0 || *first >= 1 || *second < 0 || *second >= 1) return false;
  beta1 = *first;
  beta2 = *second;
  return true;
}

/// Nothing for an optimizer whose checks do not stand here, and for what whet.optim refuses or converts.
std::optional<Sweep> sweep_of(const Call& call) {
  static const Names names(math::optimizers());
  const auto found = names.find(call[name_]);
  if (!found) return std::nullopt;
  const Entry& entry = entry_of(math::optimizers()[*found].id);
  Sweep sweep{&entry, math::option_values(entry.info.name, entry.info.options, {})};
  if (!read_options(entry, call, sweep.numbers)) return std::nullopt;
  switch (entry.info.id) {
    case math::OptimizerId::Gd:
      return call.has(betas_) ? std::nullopt : std::optional(sweep);
    case math::OptimizerId::Sgd: {
      enum { lr, momentum, dampening, weight_decay, nesterov };
      const math::OptionValues& given = sweep.numbers;
      if (call.has(betas_) || (given[nesterov] != 0 && (given[momentum] <= 0 || given[dampening] != 0)))
        return std::nullopt;
      if (given[momentum] == 0) return Sweep{&entry_of(math::OptimizerId::Gd), {given[lr], given[weight_decay]}};
      return sweep;
    }
    case math::OptimizerId::Adam:
    case math::OptimizerId::AdamW:
      if (call.has(betas_) && !read_betas(call[betas_], sweep.numbers[1], sweep.numbers[2])) return std::nullopt;
      return sweep;
    default:
      return std::nullopt;
  }
}

/// A step of the state: 0 where there is none yet; nothing for what is no such number.
std::optional<int64_t> step_of(PyObject* state, PyObject* key) {
  PyObject* const object = PyDict_GetItemWithError(state, key);
  if (!object) return PyErr_Occurred() ? std::nullopt : std::optional<int64_t>(0);
  const auto step = whole_number(object);
  return step && *step >= 0 && *step < std::numeric_limits<int64_t>::max() ? step : std::nullopt;
}

/// Whether any two blocks of so many bytes have a byte in common.
bool touch(std::span<void* const> blocks, size_t bytes) {
  for (size_t i = 0; i < blocks.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const auto a = reinterpret_cast<uintptr_t>(blocks[i]), b = reinterpret_cast<uintptr_t>(blocks[j]);
      if ((a < b ? b - a : a - b) < bytes) return true;
    }
  return false;
}

}  // namespace

PyObject* update(const Call& call) {
  static const Names step_key{"step"};
  const auto sweep = sweep_of(call);
  const auto parameter = Floats::of(call[parameter_]);
  const auto p = parameter && parameter->writeable() ? parameter->flat() : std::nullopt;
  PyObject* const state = call[state_];
  if (!sweep || !p || !PyDict_CheckExact(state)) return nullptr;
  const DType dtype = parameter->dtype();
  const auto data_of = [&](PyObject* object, bool written) -> void* {
    const auto array = Floats::of(object, dtype);
    const bool fits = array && array->has_shape(parameter->dimensions(), parameter->shape()) && array->contiguous();
    return fits && (!written || array->writeable()) ? array->data() : nullptr;
  };
  const auto step = step_of(state, step_key[0]);
  const Names& names = sweep->entry->slots;
  py::object slots[math::kMaxSlots];  // kept: without the GIL, another thread may take them out of the state
  void* memory[2 + math::kMaxSlots] = {p->data, data_of(call[gradient_], false)};
  for (size_t i = 0; i < names.size(); ++i) {
    slots[i] = py::reinterpret_borrow<py::object>(PyDict_GetItemWithError(state, names[i]));
    memory[2 + i] = data_of(slots[i].ptr(), true);
  }
  const std::span used(memory, 2 + names.size());
  if (!step || std::ranges::count(used, nullptr) > 0 || touch(used, static_cast<size_t>(p->cols) * size_of(dtype)))
    return nullptr;

  const auto next = py::reinterpret_steal<py::object>(PyLong_FromLongLong(*step + 1));
  if (!next) return nullptr;
  const bool done = run(work_of(*p, 8), [&] {
    const math::OptimizerInfo& info = sweep->entry->info;
    cpu_device(dtype).update(memory[0], memory[1], memory + 2, p->cols,
                             {info.id, info.prepare(sweep->numbers, *step + 1)});
  });
  return done && PyDict_SetItem(state, step_key[0], next.ptr()) == 0 ? Py_NewRef(Py_None) : nullptr;
}

}  // namespace whet::bindings::fast
