// SentencePiece's table of replacements ("precompiled_charsmap"): a double array of strings and what stands for them.
// Format: uint32 size, double array of s-yata/darts-clone, replacements that end with a zero byte.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::text {

class Charsmap {
 public:
  Charsmap() = default;  // replaces nothing
  // Config error, naming `where`, if the bytes are not such a table.
  Charsmap(std::string_view bytes, const std::string& where);
  // Of base64.
  static Charsmap from_base64(std::string_view text, const std::string& where);

  struct Rule {
    size_t length;  // of what is replaced
    std::string_view content;
  };
  // The rule for the longest string that `text` starts with, as SentencePiece applies it.
  std::optional<Rule> longest(std::string_view text) const;
  // The text as the normalizer "Precompiled" of `tokenizers` makes it: a rule for the beginning of a grapheme cluster
  // of less than 6 bytes replaces all of it; else each character is replaced by itself. Stops beyond `most` bytes.
  // Source: huggingface/spm_precompiled, src/lib.rs.
  std::string by_clusters(std::string_view text, size_t most) const;

 private:
  template <class Visit>  // bool visit(Rule): whether to go on
  void each(std::string_view text, const Visit& visit) const;
  std::optional<std::string_view> shortest(std::string_view text) const;
  void append(std::string_view text, std::string& out) const;
  std::vector<uint32_t> units_;
  std::string contents_;
  std::array<bool, 128> plain_{};  // ASCII characters without a rule
};

}  // namespace antiphon::text
