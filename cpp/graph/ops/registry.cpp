#include "graph/ops/ops.h"

namespace whet {

namespace {

struct Entry {
  const char* name;
  std::shared_ptr<const Op> (*make)(const math::OptionValues& options);
  std::span<const math::Option> options{};
};

constexpr math::Option kDropoutOptions[] = {{"p", 0.5}};

constexpr Entry kEntries[] = {
    {"linear", make_linear},
    {"add", make_add},
    {"concatenate", make_concatenate},
    {"dropout", make_dropout, kDropoutOptions},
};

}  // namespace

std::shared_ptr<const Op> make_op(const std::string& name, const NamedOptions& options) {
  for (const Entry& entry : kEntries)
    if (name == entry.name) return entry.make(math::option_values(name, entry.options, options));
  return make_activation(name, options);
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  for (const math::ActivationInfo& info : math::activations()) names.emplace_back(info.name);
  return names;
}

}  // namespace whet
