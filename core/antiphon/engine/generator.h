// Writes answers: prefill of packed prompts, then one token for every open answer at a time.
#pragma once
#include <functional>

#include <antiphon/data/prepare.h>
#include <antiphon/engine/sampling.h>

namespace antiphon::engine {

// Called with each new token of answer `index`; returning false ends that answer.
using OnToken = std::function<bool(size_t index, int32_t id)>;

// Tokens that an answer may have: max_tokens, or what is left of the model's context. Error(data) if nothing is left.
int64_t room_for_answer(model::MultimodalLm& model, int64_t prompt_tokens, int64_t max_tokens);

// Answers for prompts made with Purpose::generation, without their end token. `stop_ids` end an answer, as does the end
// of its room. Several prompts at once give what each gives alone, up to rounding. Error(data) if a prompt leaves no
// room, or what the model computes is not finite.
std::vector<std::vector<int32_t>> generate(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                           const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                           const OnToken& on_token = {});

}  // namespace antiphon::engine
