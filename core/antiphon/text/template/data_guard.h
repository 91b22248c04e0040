// Keeps text that comes from data from ever becoming a control token of the prompt it is put into.
#pragma once
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>

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
  void add_token(const std::string& token);
  std::string guarded(std::string_view text) const;
  void mark_edges(std::string_view text, size_t offset, std::set<size_t>& marks) const;
  bool hides_control(std::string_view clean, std::string_view out) const;

  Tokenizer tokenizer_;
  TokenFinder finder_;
  std::shared_ptr<std::deque<std::string>> contents_ = std::make_shared<std::deque<std::string>>();
  std::set<std::string_view> heads_, tails_;  // of contents_: proper prefixes; proper suffixes
  size_t longest_ = 0;
  bool normalizes_ = false;
};

}  // namespace antiphon::text
