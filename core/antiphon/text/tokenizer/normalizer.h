// The normalizers of tokenizer.json: null, NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend, Strip, StripAccents, Nmt,
// BertNormalizer, Precompiled, Sequence; and SentencePiece, which stands for the normalizer in a file of that library,
// and PythonLower, what transformers does in Python before it.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/text/tokenizer/before.h>

namespace antiphon::text {

class JsonFields;

class Normalizer {
 public:
  Normalizer() = default;
  // Config error, naming `where`, for any other type.
  Normalizer(const nlohmann::json& description, const std::string& where);
  // What stands around a text: a text that continues another one gets no prefix, and SentencePiece trims the ends of
  // the whole only.
  struct Edges {
    Before before = Before::nothing;
    bool last = true;
  };
  // Config error if the text grows beyond 16 times its size plus 1 KiB: NFKD's longest, U+FDFA with its spaces
  // replaced, grows 13 times.
  std::string operator()(std::string_view text, Edges edges) const;
  std::string operator()(std::string_view text) const { return (*this)(text, Edges{}); }
  bool empty() const { return steps_.empty(); }
  // What SentencePiece puts at the beginning of a text whose first word is a user-defined symbol, which is not
  // normalized; "" for others.
  const std::string& before_symbol() const { return before_symbol_; }

 private:
  void add(const nlohmann::json& description, const std::string& where, int depth);
  // Stops soon beyond `most` bytes.
  using Step = std::function<std::string(std::string text, size_t most, Edges edges)>;
  bool add_form(const JsonFields& fields, const std::string& type);
  bool add_edit(const JsonFields& fields, const std::string& type);
  bool add_cleaning(const JsonFields& fields, const std::string& type);
  bool add_charsmap(const JsonFields& fields, const std::string& type);
  std::string where_, before_symbol_;
  std::vector<Step> steps_;
};

}  // namespace antiphon::text
