#include <antiphon/engine/logprobs.h>

#include <antiphon/text/unicode.h>

namespace antiphon::engine {

nlohmann::json logprobs_json(std::span<const int32_t> ids, std::span<const TokenScores> scores,
                             const text::Tokenizer& tokenizer) {
  const auto entry = [&](int32_t id, double logprob) {
    return nlohmann::json{{"id", id}, {"token", text::to_valid_utf8(tokenizer.bytes_of(id))}, {"logprob", logprob}};
  };
  auto all = nlohmann::json::array();
  for (size_t i = 0; i < ids.size(); ++i) {
    auto token = entry(ids[i], scores[i].logprob);
    token["top"] = nlohmann::json::array();
    for (const auto& [id, logprob] : scores[i].top) token["top"].push_back(entry(id, logprob));
    all.push_back(std::move(token));
  }
  return all;
}

}  // namespace antiphon::engine
