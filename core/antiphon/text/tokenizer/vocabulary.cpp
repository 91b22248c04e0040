#include <antiphon/text/tokenizer/vocabulary.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

namespace antiphon::text {

Vocabulary::Vocabulary(const nlohmann::json& object, const std::string& where) : entries_(object.size()) {
  ids_.reserve(object.size());
  for (const auto& [token, value] : object.items()) {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > kMaxTokenId)
      fail(ErrorKind::config,
           fmt::format("{}: the id of \"{}\" is {}, expected 0 to {}", where, token, value.dump(), kMaxTokenId),
           "fetch tokenizer.json again");
    const auto id = value.get<int32_t>();
    if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(static_cast<size_t>(id) + 1);
    if (!tokens_[id].empty())
      fail(ErrorKind::config, fmt::format("{}: \"{}\" and \"{}\" have the same id {}", where, tokens_[id], token, id),
           "fetch tokenizer.json again");
    tokens_[id] = token;
    ids_.emplace(token, id);
  }
  if (ids_.empty()) fail(ErrorKind::config, fmt::format("{} is empty", where), "fetch tokenizer.json again");
}

Vocabulary::Vocabulary(std::vector<std::string> tokens) : tokens_(std::move(tokens)), entries_(tokens_.size()) {
  ids_.reserve(tokens_.size());
  for (size_t id = 0; id < tokens_.size(); ++id) ids_[tokens_[id]] = static_cast<int32_t>(id);
}

}  // namespace antiphon::text
