// The pre-tokenizers of tokenizer.json that go with byte-level BPE: any number of Split and Digits, then ByteLevel,
// alone or in a Sequence.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/text/pattern.h>

namespace antiphon::text {

class PreTokenizer {
 public:
  // Config error, naming `where`, for other types, for other orders, and where there is no ByteLevel.
  PreTokenizer(const nlohmann::json& description, const std::string& where);
  // Calls `word` for each piece of the text, in order; none is empty.
  void operator()(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  using Pieces = std::vector<std::pair<size_t, size_t>>;
  using Step = std::function<void(std::string_view piece, size_t offset, Pieces& out)>;
  void add(const nlohmann::json& description, const std::string& where, int depth);
  void emit(std::string_view piece, const std::function<void(std::string_view)>& word) const;

  std::vector<Step> steps_;
  bool byte_level_ = false, add_prefix_space_ = false;
  std::optional<Pattern> words_;
};

}  // namespace antiphon::text
