// Answers to prompts that are all there at once.
#pragma once
#include <antiphon/engine/engine.h>

namespace antiphon::engine {

// Called with each new token of answer `index`; returning false ends that answer.
using OnTokenOf = std::function<bool(size_t index, int32_t id)>;

// Answers for prompts made with Purpose::generation, in their order. `stop_ids` end an answer, as does the end of its
// room. Several prompts at once give what each gives alone, up to rounding. Error(data) if a prompt leaves no room.
// `tokenizer`: needed for options.stop.
std::vector<Answer> answers_to(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                               const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                               const OnTokenOf& on_token = {}, std::optional<text::Tokenizer> tokenizer = std::nullopt);
// The same of requests that each have options of their own.
std::vector<Answer> answers_to(model::MultimodalLm& model, std::vector<Request> requests,
                               std::optional<text::Tokenizer> tokenizer);
// The same, of the answers only their tokens. Throws the first failure of an answer.
std::vector<std::vector<int32_t>> generate(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                           const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                           const OnTokenOf& on_token = {},
                                           std::optional<text::Tokenizer> tokenizer = std::nullopt);

}  // namespace antiphon::engine
