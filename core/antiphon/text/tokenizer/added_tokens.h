// Added tokens of a tokenizer.json: found in the text before the model sees it (as `tokenizers` does it, src/tokenizer/
// added_vocabulary.rs: leftmost, then longest; first those that match raw text, then those that match normalized text).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <antiphon/text/tokenizer/byte_trie.h>

namespace antiphon::text {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;      // left out by decode
  bool single_word = false;  // only if no word character is adjacent
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = true;    // looked for in the normalized text
};

// Finds a set of strings, leftmost, then longest.
class TokenFinder {
 public:
  TokenFinder() = default;
  // Strings and the index that search() returns of each; of equal strings that of the first. An empty string is never
  // found.
  explicit TokenFinder(std::vector<std::pair<std::string_view, int32_t>> strings);
  bool empty() const { return !trie_.goes_on(ByteTrie::root); }
  struct Match {
    size_t begin, end;
    int32_t index;
  };
  // The first match that starts at or after `from`; index -1 if there is none.
  Match search(std::string_view text, size_t from) const;
  // Whether a string begins with `text` and is longer.
  bool goes_on(std::string_view text) const;

 private:
  ByteTrie trie_;
  std::vector<bool> starts_ = std::vector<bool>(256);
};

// A piece of text: an added token (index into the list given to the splitter), or ordinary text (index -1).
struct TextPiece {
  int32_t token;
  size_t begin, end;
};

class AddedTokenSplitter {
 public:
  AddedTokenSplitter() = default;
  // Looks for `contents[i]` with the flags of `tokens[i]`, for the indices of `chosen`. `tokens` must outlive this.
  AddedTokenSplitter(const std::vector<AddedToken>& tokens, const std::vector<int32_t>& chosen,
                     const std::function<std::string(const AddedToken&)>& content);
  std::vector<TextPiece> split(std::string_view text, const std::function<bool(const AddedToken&)>& wanted) const;

 private:
  const std::vector<AddedToken>* tokens_ = nullptr;
  TokenFinder finder_;
};

}  // namespace antiphon::text
