#include "graph/ops/ops.h"

namespace whet {

namespace {

struct Entry {
  const char* name;
  std::shared_ptr<const Op> (*make)(const math::OptionValues& options);
  std::span<const math::Option> options{};
};

constexpr math::Option kAlphaDropoutOptions[] = {{"p", 0.5}};
constexpr math::Option kDropoutOptions[] = {{"p", 0.5}, {"number", -1}};
constexpr math::Option kLinearOptions[] = {{"transposed", 0}};
constexpr math::Option kCombinationOptions[] = {{"swapped", 0}};
constexpr math::Option kConstantOptions[] = {{"value", 0}};
constexpr math::Option kConcatenateOptions[] = {{"axis", -1}};
constexpr math::Option kSliceOptions[] = {{"axis", -1}, {"start", 0}, {"stop", 0}};
constexpr math::Option kReshapeOptions[] = {{"size0", 0}, {"size1", 0}, {"size2", 0}};
constexpr math::Option kReduceOptions[] = {{"axis", 99}, {"keepdims", 0}};
constexpr math::Option kNormalizeOptions[] = {{"groups", 1}, {"eps", 1e-5}, {"centred", 1}};
constexpr math::Option kBatchNormOptions[] = {{"eps", 1e-5}, {"momentum", 0.1}};
constexpr math::Option kEmbeddingOptions[] = {{"padding_idx", -1}};

template <math::CombinationId id, const char* const& name>
std::shared_ptr<const Op> combination(const math::OptionValues& options) {
  return make_combination(id, name, options);
}

constexpr Entry kEntries[] = {{"linear", make_linear, kLinearOptions},
                              {"concatenate", make_concatenate, kConcatenateOptions},
                              {"alpha_dropout", make_alpha_dropout, kAlphaDropoutOptions},
                              {"dropout", make_dropout, kDropoutOptions},
                              {"where", make_where},
                              {"constant", make_constant, kConstantOptions},
                              {"slice", make_slice, kSliceOptions},
                              {"reshape", make_reshape, kReshapeOptions},
                              {"scale_shift", make_scale_shift},
                              {"sum", make_sum, kReduceOptions},
                              {"mean", make_mean, kReduceOptions},
                              {"logsumexp", make_logsumexp},
                              {"normalize", make_normalize, kNormalizeOptions},
                              {"batch_norm", make_batch_norm, kBatchNormOptions},
                              {"embedding", make_embedding, kEmbeddingOptions},
                              {"grouped_linear", make_grouped_linear},
#define WHET_ENTRY(F) {math::F::name, combination<math::CombinationId::F, math::F::name>, kCombinationOptions},
                              WHET_COMBINATIONS(WHET_ENTRY)
#undef WHET_ENTRY
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
