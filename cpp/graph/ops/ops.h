#pragma once

#include "graph/op.h"

namespace whet {

std::shared_ptr<const Op> make_activation(const std::string& name, const NamedOptions& options);
std::shared_ptr<const Op> make_linear(const math::OptionValues& options);
std::shared_ptr<const Op> make_combination(math::CombinationId id, const char* name, const math::OptionValues& options);
std::shared_ptr<const Op> make_where(const math::OptionValues& options);
std::shared_ptr<const Op> make_constant(const math::OptionValues& options);
std::shared_ptr<const Op> make_slice(const math::OptionValues& options);
std::shared_ptr<const Op> make_reshape(const math::OptionValues& options);
std::shared_ptr<const Op> make_scale_shift(const math::OptionValues& options);
std::shared_ptr<const Op> make_sum(const math::OptionValues& options);
std::shared_ptr<const Op> make_mean(const math::OptionValues& options);
std::shared_ptr<const Op> make_logsumexp(const math::OptionValues& options);
std::shared_ptr<const Op> make_normalize(const math::OptionValues& options);
std::shared_ptr<const Op> make_batch_norm(const math::OptionValues& options);
std::shared_ptr<const Op> make_embedding(const math::OptionValues& options);
std::shared_ptr<const Op> make_grouped_linear(const math::OptionValues& options);
std::shared_ptr<const Op> make_concatenate(const math::OptionValues& options);
std::shared_ptr<const Op> make_alpha_dropout(const math::OptionValues& options);
std::shared_ptr<const Op> make_dropout(const math::OptionValues& options);

}  // namespace whet
