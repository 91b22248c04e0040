// Writes answers: prefill of packed prompts, then one token for every open answer at a time.
#pragma once
#include <functional>

#include <antiphon/data/prepare.h>
#include <antiphon/infer/sampling.h>

namespace antiphon::infer {

// Called with each new token of answer `index`; returning false ends that answer.
using OnToken = std::function<bool(size_t index, int32_t id)>;

// Answers for prompts made with Purpose::generation, without their end token. `stop_ids` end an answer. Several at
// once give what each alone gives, up to rounding. Error(data) where prompt and max_tokens exceed the model's context.
std::vector<std::vector<int32_t>> generate(graph::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                           const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                           const OnToken& on_token = {});

}  // namespace antiphon::infer
