// Marks made of noncharacters, which data cannot contain, around the texts of a conversation.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace antiphon::text {

// The conversation with a mark after the text of each turn, and one before the text of each assistant turn; white space
// at the edges stays outside, as templates often trim.
nlohmann::ordered_json marked(const nlohmann::ordered_json& messages);

// A rendering without its marks, and where they were.
struct Unmarked {
  std::string text;
  std::vector<std::optional<size_t>> open, close;  // of each turn; nothing if a mark is lost or duplicated
};
Unmarked unmarked(std::string_view rendered, size_t turns);

}  // namespace antiphon::text
