// The pre-tokenizers of tokenizer.json, alone or in a Sequence: any number of Split, Digits, BertPreTokenizer,
// Whitespace, WhitespaceSplit, Punctuation and CharDelimiterSplit, then ByteLevel, Metaspace or neither.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/text/tokenizer/before.h>
#include <antiphon/text/tokenizer/pattern.h>

namespace antiphon::text {

class JsonFields;

class PreTokenizer {
 public:
  // `description` may be null. Config error, naming `where`, for other types or orders.
  PreTokenizer(const nlohmann::json& description, const std::string& where);
  bool byte_level() const { return byte_level_; }
  // Calls `word` for each piece of the text, in order; none is empty.
  void operator()(std::string_view text, Before before, const std::function<void(std::string_view)>& word) const;

 private:
  using Pieces = std::vector<std::pair<size_t, size_t>>;
  using Step = std::function<void(std::string_view piece, size_t offset, Pieces& out)>;
  void add(const nlohmann::json& description, const std::string& where, int depth);
  bool add_split(const JsonFields& fields, const std::string& type);
  bool add_classes(const JsonFields& fields, const std::string& type);
  void add_metaspace(const JsonFields& fields);
  void emit(std::string_view piece, Before before, const std::function<void(std::string_view)>& word) const;
  void emit_metaspace(std::string_view piece, Before before, const std::function<void(std::string_view)>& word) const;

  std::vector<Step> steps_;
  bool byte_level_ = false, add_prefix_space_ = false;
  std::optional<Pattern> words_;
  std::string metaspace_, prepend_;  // what represents a space, and when it is prepended; empty: no Metaspace
  bool split_at_metaspace_ = false;
};

}  // namespace antiphon::text
