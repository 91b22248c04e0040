// The state of a Tokenizer, and how it is loaded from the files. Internal to core/antiphon/text.
#pragma once
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/normalizer.h>
#include <antiphon/text/tokenizer/pre_tokenizer.h>
#include <antiphon/text/tokenizer/token_model.h>
#include <antiphon/text/tokenizer/token_spelling.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::text {

struct Tokenizer::State {
  PreTokenizer pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  TokenSpelling spelling;
  Normalizer normalizer;
  std::vector<AddedToken> added;
  std::unordered_map<std::string, size_t> added_at;  // content -> index in `added`
  size_t added_bytes = 0;                            // of all contents
  AddedTokenSplitter raw, normalized;                // over `added`
  std::vector<std::string> tokens, bytes;            // by id
  std::vector<bool> special, control, barred;        // by id; `barred` is empty if BPE makes no control token by itself
  std::vector<int32_t> before, after;                // of add_special_tokens
  std::vector<int32_t> eos;
  std::optional<int32_t> bos, pad;
  std::map<std::string, std::string> named;
  std::unordered_map<int32_t, std::string> respelled;  // tokens that decoding gives in their normalized form
  std::string source = "tokenizer.json";

  // `given_ids`: added tokens have the ids of the file, with gaps, as other forms than tokenizer.json have them.
  // `apart`: even if the vocabulary has the same text under another id.
  explicit State(const nlohmann::json& file, bool given_ids = false, bool apart = false);
  void read_config(const nlohmann::json& config, const nlohmann::json& special_tokens,
                   const nlohmann::json& generation);

  int32_t id_of(std::string_view token) const;
  // Ordinary text and tokens in order; `on_text` gets normalized text and what precedes it.
  template <class OnToken, class OnText>
  void split(std::string_view text, bool with_control, Before before, const OnToken& on_token,
             const OnText& on_text) const;

 private:
  bool given_ids = false, apart = false;
  std::unordered_set<int32_t> added_ids;
  int32_t next_id = 0;  // of an added token that the vocabulary lacks
  void read_added(const JsonFields& file);
  void add_token(AddedToken token, const std::string& where);
  bool has_token(int32_t id) const;
  void read_post_processor(const nlohmann::json& description, const std::string& where, int depth);
  void read_template(const JsonFields& fields);
  void read_pair(const JsonFields& fields, const char* name, std::vector<int32_t>& ids);
  void read_names(const JsonFields& config);
  void add_named(const std::string& token, const std::string& where);
  void read_eos(const JsonFields& generation);
  void index_tokens();
};

template <class OnToken, class OnText>
void Tokenizer::State::split(std::string_view text, bool with_control, Before before, const OnToken& on_token,
                             const OnText& on_text) const {
  const auto wanted = [&](const AddedToken& token) { return with_control || !control[token.id]; };
  bool begun = before != Before::nothing;
  for (const auto& outer : raw.split(text, wanted)) {
    if (outer.token >= 0) {
      const auto id = added[outer.token].id;
      if (!begun && !special[id] && !normalizer.before_symbol().empty())
        on_text(normalizer.before_symbol(), Before::nothing);
      on_token(id), begun = true;
      continue;
    }
    const auto outer_before = outer.begin == 0 ? before : Before::token;
    const auto piece =
        normalizer(text.substr(outer.begin, outer.end - outer.begin), {outer_before, outer.end == text.size()});
    begun = begun || !piece.empty();
    for (const auto& inner : normalized.split(piece, wanted)) {
      if (inner.token >= 0) {
        on_token(added[inner.token].id);
      } else {
        on_text(std::string_view(piece).substr(inner.begin, inner.end - inner.begin),
                inner.begin == 0 ? outer_before : Before::token);
      }
    }
  }
}

}  // namespace antiphon::text
