#include <antiphon/text/tokenizer/word_piece.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/utf8.h>
#include <antiphon/text/tokenizer/json_fields.h>

namespace antiphon::text {

WordPiece::WordPiece(const nlohmann::json& model, const std::string& where) {
  const JsonFields fields(model, where);
  fields.only({"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
  vocabulary_ = Vocabulary(fields.object("vocab"), fields.at("vocab"));
  const auto prefix = fields.text("continuing_subword_prefix", "##");
  const auto unknown = fields.text("unk_token", "[UNK]");
  unknown_ = id_of(unknown);
  if (unknown_ < 0)
    fail(ErrorKind::config, fmt::format("{}: \"{}\" is not in the vocabulary", fields.at("unk_token"), unknown),
         "fetch tokenizer.json again");
  if (fields.has("max_input_chars_per_word")) {
    const auto most = fields.integer("max_input_chars_per_word");
    if (most < 0) fields.refuse(fmt::format("max_input_chars_per_word {}", most));
    most_letters_ = static_cast<size_t>(most);
  }
  std::vector<std::pair<std::string_view, int32_t>> first, later;
  for (const auto& [token, id] : vocabulary_.ids()) {
    first.emplace_back(token, id);
    if (token.starts_with(prefix)) later.emplace_back(std::string_view(token).substr(prefix.size()), id);
  }
  first_ = ByteTrie(std::move(first), where);
  later_ = ByteTrie(std::move(later), where);
}

void WordPiece::encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const {
  if (barred) return cut(word, ids, barred);
  cache_.through(word, ids, [&](std::vector<int32_t>& out) { cut(word, out, nullptr); });
}

void WordPiece::cut(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const {
  if (count_characters(word) > most_letters_) return ids.push_back(unknown_);
  const size_t before = ids.size();
  for (size_t begin = 0; begin < word.size();) {
    size_t length = 0;
    int32_t longest = -1;
    (begin == 0 ? first_ : later_).each_prefix(word.substr(begin), [&](size_t bytes, int32_t id) {
      if (!barred || !(*barred)[id]) length = bytes, longest = id;
    });
    if (longest < 0) {
      ids.resize(before);
      return ids.push_back(unknown_);
    }
    ids.push_back(longest);
    begin += length;
  }
}

}  // namespace antiphon::text
