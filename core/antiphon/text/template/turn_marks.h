// Marks of noncharacters, which data cannot bring in, around the texts of a conversation.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace antiphon::text {

// The conversation with a mark behind the text of each turn, and one before that of each assistant turn; white space at
// the edges stays outside, as templates often trim.
nlohmann::ordered_json marked(const nlohmann::ordered_json& messages);

// A rendering without its marks, and where they stood.
struct Unmarked {
  std::string text;
  std::vector<std::optional<size_t>> open, close;  // of each turn; nothing where a mark is lost, or there twice
};
Unmarked unmarked(std::string_view rendered, size_t turns);

}  // namespace antiphon::text
