// What a step of a policy gradient shows beside its loss, by the names that TRL gives them if it has them.
#pragma once
#include <antiphon/component/objective.h>

#include "options.h"

namespace antiphon::policy_gradient {

// A number of each sequence at each of its tokens: [n] float32, on the device of the log-probabilities.
at::Tensor at_tokens(const std::vector<double>& values, const ObjectiveInput& input);

// exp(d) - d - 1 of d = log reference - log policy, [n]. Source: Schulman 2020. Times the ratio its gradient is, in the
// mean over what was drawn, that of the divergence of the policy from the reference.
at::Tensor divergence(const ObjectiveInput& input);

std::vector<Metric> metrics_of(const Method& method, const ObjectiveInput& input, const at::Tensor& ratio_n,
                               const at::Tensor& advantage_n);

}  // namespace antiphon::policy_gradient
