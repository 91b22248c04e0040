// Keeps text that comes from data from ever becoming a control token of the prompt it is put into.
#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::text {

// Around the number of a media item in rendered text: noncharacters, which data cannot contain.
constexpr std::string_view media_open = "\xEF\xB7\x91";   // U+FDD1
constexpr std::string_view media_close = "\xEF\xB7\x92";  // U+FDD2

class DataGuard {
 public:
  explicit DataGuard(Tokenizer tokenizer);

  // `text` with guards (tokenizer.h) wherever it contains a control token, could be the middle or the end of one that
  // the template begins, or could begin one that the template ends. U+FDD0 to U+FDD5 become U+FFFD.
  // Data error if it is not well-formed UTF-8.
  std::string operator()(std::string_view text) const;

 private:
  std::string guarded(std::string_view text) const;
  void mark_edges(std::string_view text, size_t offset, std::set<size_t>& marks) const;
  bool hides_control(std::string_view clean, std::string_view out) const;

  // Where in all tokens, one after the other, each three bytes stand that are not the beginning of one.
  struct Inside {
    std::string joined;
    std::unordered_map<uint32_t, std::vector<uint32_t>> at;
  };
  static Inside inside_of(const std::vector<std::string>& tokens);
  bool is_inside(std::string_view text) const;

  Tokenizer tokenizer_;
  std::shared_ptr<const Inside> inside_;
  TokenFinder finder_, backwards_;  // of the tokens; of the tokens from their last byte to their first
  size_t longest_ = 0;
  bool normalizes_ = false;
};

}  // namespace antiphon::text
