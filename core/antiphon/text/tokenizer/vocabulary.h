// The tokens of a model, by id and by text.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

inline constexpr int64_t kMaxTokenId = (1 << 22) - 1;

// Keys are found by views, without a copy.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using TextMap = std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>;

class Vocabulary {
 public:
  Vocabulary() = default;
  // {"token": id, …}. Config error, naming `where`, for an empty one and for ids that are negative, duplicate or above
  // kMaxTokenId.
  Vocabulary(const nlohmann::json& object, const std::string& where);
  // Tokens by id; of equal ones the last is found.
  explicit Vocabulary(std::vector<std::string> tokens);

  // -1 if there is no such token.
  int32_t id_of(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? -1 : found->second;
  }
  const std::vector<std::string>& tokens() const { return tokens_; }
  size_t size() const { return entries_; }
  const TextMap& ids() const { return ids_; }

 private:
  TextMap ids_;
  std::vector<std::string> tokens_;
  size_t entries_ = 0;
};

}  // namespace antiphon::text
