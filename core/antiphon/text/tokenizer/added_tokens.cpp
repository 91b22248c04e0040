#include <antiphon/text/tokenizer/added_tokens.h>

#include <algorithm>

#include <antiphon/text/tokenizer/pattern.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

size_t spaces_before(std::string_view text, size_t position) {
  while (position > 0) {
    const size_t start = previous_start(text, position);
    if (!is_space(code_point_at(text, start).value)) break;
    position = start;
  }
  return position;
}

size_t spaces_after(std::string_view text, size_t position) {
  while (position < text.size()) {
    const auto [c, length] = code_point_at(text, position);
    if (!is_space(c)) break;
    position += length;
  }
  return position;
}

// \w of the Rust crate `regex`: Alphabetic, M, Nd, Pc, Join_Control.
bool is_word(std::string_view character) {
  static const auto* word = new Pattern(Pattern::regex("[\\w\\x{200c}\\x{200d}]"));
  bool found = false;
  word->for_each_match(character, [&](size_t, size_t) { found = true; });
  return found;
}

bool word_touches(std::string_view text, size_t begin, size_t end) {
  const size_t before = begin > 0 ? previous_start(text, begin) : 0;
  return (begin > 0 && is_word(text.substr(before, begin - before))) ||
         (end < text.size() && is_word(text.substr(end, code_point_at(text, end).length)));
}

}  // namespace

TokenFinder::TokenFinder(std::vector<std::pair<std::string_view, int32_t>> strings) {
  for (const auto& [text, index] : strings)
    if (!text.empty()) starts_[static_cast<unsigned char>(text[0])] = true;
  std::reverse(strings.begin(), strings.end());  // of equal ones the last counts there
  trie_ = ByteTrie(std::move(strings), "added_tokens");
}

bool TokenFinder::goes_on(std::string_view text) const {
  uint32_t node = ByteTrie::root;
  for (const char byte : text)
    if ((node = trie_.next(node, byte)) == ByteTrie::root) return false;
  return trie_.goes_on(node);
}

TokenFinder::Match TokenFinder::search(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    Match longest{begin, begin, -1};
    trie_.each_prefix(text.substr(begin), [&](size_t length, int32_t index) {
      longest = {begin, begin + length, index};
    });
    if (longest.index >= 0) return longest;
  }
  return {text.size(), text.size(), -1};
}

AddedTokenSplitter::AddedTokenSplitter(const std::vector<AddedToken>& tokens, const std::vector<int32_t>& chosen,
                                       const std::function<std::string(const AddedToken&)>& content)
    : tokens_(&tokens) {
  std::vector<std::string> contents;
  for (int32_t index : chosen) contents.push_back(content(tokens[index]));
  std::vector<std::pair<std::string_view, int32_t>> strings;
  for (size_t i = 0; i < chosen.size(); ++i) strings.emplace_back(contents[i], chosen[i]);
  finder_ = TokenFinder(std::move(strings));
}

std::vector<TextPiece> AddedTokenSplitter::split(std::string_view text,
                                                 const std::function<bool(const AddedToken&)>& wanted) const {
  std::vector<TextPiece> pieces;
  size_t done = 0;
  for (size_t from = 0; !finder_.empty();) {
    auto match = finder_.search(text, from);
    if (match.index < 0) break;
    from = match.end;
    const auto& token = (*tokens_)[match.index];
    if (!wanted(token) || (token.single_word && word_touches(text, match.begin, match.end))) continue;
    if (token.lstrip) match.begin = std::max(spaces_before(text, match.begin), done);
    if (token.rstrip) match.end = spaces_after(text, match.end);
    if (done < match.begin) pieces.push_back({-1, done, match.begin});
    pieces.push_back({match.index, match.begin, match.end});
    done = match.end;
  }
  if (done < text.size()) pieces.push_back({-1, done, text.size()});
  return pieces;
}

}  // namespace antiphon::text
