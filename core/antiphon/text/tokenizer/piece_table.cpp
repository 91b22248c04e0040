#include <antiphon/text/tokenizer/piece_table.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using nlohmann::json;

json replacement(const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{"String", pattern}}}, {"content", content}};
}

class PieceWriter {
 public:
  PieceWriter(const PieceTable& table, const std::string& where) : table_(table), where_(where) {
    for (size_t id = 0; id < table.pieces.size(); ++id) {
      ids_.emplace(table.pieces[id].text, static_cast<int32_t>(id));
      if (unknown_ < 0 && kind(id) == PieceKind::unknown) unknown_ = static_cast<int64_t>(id);
    }
    if (unknown_ < 0) fail(ErrorKind::config, where + " has no unknown piece", "fetch the file again");
  }

  json file(bool by_id) const {
    return {{"version", "1.0"},
            {"added_tokens", added(by_id)},
            {"normalizer", normalizer()},
            {"pre_tokenizer", nullptr},
            {"decoder", decoder()},
            {"post_processor", nullptr},
            {"model", table_.unigram ? unigram() : bpe(by_id)}};
  }

 private:
  PieceKind kind(size_t id) const { return table_.pieces[id].kind; }

  // Runs of spaces are text: the model finds them, once spaces are written as it has them.
  static bool is_space(std::string_view text) {
    while (text.starts_with("\xE2\x96\x81")) text.remove_prefix(3);
    return text.empty();
  }
  json added(bool by_id) const {
    auto list = json::array();
    for (size_t id = 0; id < table_.pieces.size(); ++id) {
      const bool users = kind(id) == PieceKind::user_defined;
      if (!users && kind(id) != PieceKind::control && kind(id) != PieceKind::unknown) continue;
      if (users && !by_id && is_space(table_.pieces[id].text)) continue;
      list.push_back({{"id", id}, {"content", table_.pieces[id].text}, {"special", !users}, {"normalized", false}});
    }
    return list;
  }

  json normalizer() const {
    return {{"type", "SentencePiece"},
            {"precompiled_charsmap", to_base64(table_.charsmap)},
            {"add_dummy_prefix", table_.add_dummy_prefix},
            {"remove_extra_whitespaces", table_.remove_extra_whitespaces},
            {"escape_whitespaces", table_.escape_whitespaces},
            {"symbols_are_text", table_.as_library}};
  }

  json decoder() const {
    auto list = json::array({{{"type", "Unknown"},
                              {"token", table_.pieces[static_cast<size_t>(unknown_)].text},
                              {"content", table_.unknown_surface}}});
    list.push_back(replacement("\xE2\x96\x81", " "));
    if (table_.byte_fallback) list.push_back({{"type", "ByteFallback"}});
    list.push_back({{"type", "Fuse"}});
    if (table_.add_dummy_prefix || table_.remove_extra_whitespaces)
      list.push_back({{"type", "Strip"},
                      {"content", " "},
                      {"start", 1},
                      {"stop", 0},
                      {"until_text", table_.as_library && table_.remove_extra_whitespaces}});
    return {{"type", "Sequence"}, {"decoders", list}};
  }

  json unigram() const {
    auto vocabulary = json::array(), outside = json::array();
    for (size_t id = 0; id < table_.pieces.size(); ++id) {
      vocabulary.push_back({table_.pieces[id].text, table_.pieces[id].score});
      if (kind(id) != PieceKind::user_defined && kind(id) != PieceKind::normal) outside.push_back(id);
    }
    return {{"type", "Unigram"},
            {"unk_id", unknown_},
            {"vocab", vocabulary},
            {"outside", outside},
            {"user_defined", user_defined()},
            {"byte_fallback", table_.byte_fallback},
            {"sentencepiece", true}};
  }

  json bpe(bool by_id) const {
    auto vocabulary = json::object();
    for (size_t id = 0; id < table_.pieces.size(); ++id) vocabulary[table_.pieces[id].text] = id;
    return {{"type", "BPE"},
            {"vocab", vocabulary},
            {"ranks", by_id ? ranks_by_id() : ranks_by_score()},
            {"shorter_first", by_id},
            {"user_defined", by_id ? json::array() : user_defined()},
            {"unk_token", table_.pieces[static_cast<size_t>(unknown_)].text},
            {"fuse_unk", true},
            {"byte_fallback", table_.byte_fallback}};
  }

  json user_defined() const {
    auto ids = json::array();
    for (size_t id = 0; id < table_.pieces.size(); ++id)
      if (kind(id) == PieceKind::user_defined) ids.push_back(id);
    return ids;
  }

  json ranks_by_id() const {
    auto ranks = json::array();
    for (size_t id = 0; id < table_.pieces.size(); ++id) ranks.push_back(id);
    return ranks;
  }

  json ranks_by_score() const {
    std::map<float, int64_t, std::greater<>> of_score;
    for (const auto& piece : table_.pieces)
      if (piece.kind == PieceKind::normal) of_score[piece.score] = 0;
    int64_t next = 0;
    for (auto& [score, rank] : of_score) rank = next++;
    auto ranks = json::array();
    for (const auto& piece : table_.pieces) {
      if (piece.kind == PieceKind::unused) check_unused(piece.text);
      ranks.push_back(piece.kind == PieceKind::normal ? of_score.at(piece.score) : -1);
    }
    return ranks;
  }

  // SentencePiece makes such a piece and takes it apart again, which has no merges of the usual kind.
  void check_unused(const std::string& text) const {
    const auto is_normal = [&](std::string_view part) {
      const auto found = ids_.find(part);
      return found != ids_.end() && kind(static_cast<size_t>(found->second)) == PieceKind::normal;
    };
    if (text.size() > 4096)
      fail(ErrorKind::config, fmt::format("{}: a piece has {} bytes", where_, text.size()), "fetch the file again");
    for (size_t at = code_point_at(text, 0).length; at < text.size(); at += code_point_at(text, at).length)
      if (is_normal(std::string_view(text).substr(0, at)) && is_normal(std::string_view(text).substr(at)))
        fail(ErrorKind::config,
             fmt::format("{}: merges make the piece \"{}\", which is marked as unused", where_, text),
             "save tokenizer.json with AutoTokenizer.from_pretrained(...).save_pretrained(...)");
  }

  const PieceTable& table_;
  const std::string& where_;
  TextMap ids_;
  int64_t unknown_ = -1;
};

}  // namespace

json tokenizer_json(const PieceTable& table, const std::string& where, bool by_id) {
  return PieceWriter(table, where).file(by_id);
}

}  // namespace antiphon::text
