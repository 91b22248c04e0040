#include <antiphon/engine/generator.h>

namespace antiphon::engine {

std::vector<Answer> answers_to(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                               const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                               const OnTokenOf& on_token, std::optional<text::Tokenizer> tokenizer) {
  std::vector<Request> requests;
  for (size_t i = 0; i < prompts.size(); ++i)
    requests.push_back({std::move(prompts[i]), options, stop_ids,
                        on_token ? [&on_token, i](int32_t id) { return on_token(i, id); } : OnToken()});
  return answers_to(model, std::move(requests), std::move(tokenizer));
}

std::vector<Answer> answers_to(model::MultimodalLm& model, std::vector<Request> requests,
                               std::optional<text::Tokenizer> tokenizer) {
  int64_t blocks = 0;
  for (const auto& [prompt, options, stop_ids, on_token] : requests)
    blocks += blocks_for_text(model, prompt.tokens(),
                              prompt.tokens() + room_for_answer(model, prompt.tokens(), options), options);
  Engine engine(model, blocks * DecoderState::kBlockSize, std::move(tokenizer));
  std::vector<int64_t> texts;
  for (auto& request : requests) texts.push_back(engine.submit(std::move(request)));
  while (engine.step()) {
  }
  std::vector<Answer> answers;
  for (const auto text : texts) answers.push_back(*engine.take(text));
  return answers;
}

std::vector<std::vector<int32_t>> generate(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                           const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                           const OnTokenOf& on_token, std::optional<text::Tokenizer> tokenizer) {
  std::vector<std::vector<int32_t>> ids;
  for (auto& answer : answers_to(model, std::move(prompts), options, stop_ids, on_token, std::move(tokenizer))) {
    if (answer.failure) std::rethrow_exception(answer.failure);
    ids.push_back(std::move(answer.ids));
  }
  return ids;
}

}  // namespace antiphon::engine
