#include <antiphon/text/tokenizer/unigram.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/byte_trie.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/tokenizer/word_cache.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

constexpr float unknown_penalty = 10.0F;

// The best way to reach a place of the text: its score, where its last token starts, and that token.
template <class Score>
struct Reached {
  Score score = 0;
  int32_t start = -1, id = -1;
};

struct Segment {
  size_t begin, end;
  int32_t id;
};

}  // namespace

struct Unigram::State {
  Vocabulary vocabulary;
  std::vector<double> scores;
  std::vector<bool> outside;
  ByteTrie trie;
  std::array<int32_t, 256> byte_ids{};
  int32_t unknown = -1;
  double lowest = 0;
  bool byte_fallback = false, sentencepiece = false;
  std::string where;
  mutable WordCache cache;

  void read_vocabulary(const JsonFields& fields);
  void read_sentencepiece(const JsonFields& fields);
  std::vector<int32_t> ids_in(const JsonFields& fields, const char* name) const;
  void index();
  template <class Score>
  std::vector<Segment> best_cut(std::string_view text, const std::vector<bool>* barred) const;
  void search(std::string_view text, std::vector<int32_t>& out, const std::vector<bool>* barred) const;
  void put_unknown(std::string_view text, std::vector<int32_t>& out, const std::vector<bool>* barred) const;
};

void Unigram::State::read_vocabulary(const JsonFields& fields) {
  const auto& list = fields.array("vocab");
  if (list.empty() || list.size() > static_cast<size_t>(kMaxTokenId))
    fields.refuse(fmt::format("a vocabulary of {} tokens", list.size()));
  std::vector<std::string> tokens;
  tokens.reserve(list.size()), scores.reserve(list.size());
  for (const auto& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number() ||
        !std::isfinite(entry[1].get<double>()))
      fail(ErrorKind::config, fmt::format("{}[{}]: expected [token, score]", fields.at("vocab"), tokens.size()),
           kSaveAgain);
    tokens.push_back(entry[0].get<std::string>());
    scores.push_back(entry[1].get<double>());
  }
  lowest = *std::min_element(scores.begin(), scores.end());
  outside.assign(tokens.size(), false);
  vocabulary = Vocabulary(std::move(tokens));
}

std::vector<int32_t> Unigram::State::ids_in(const JsonFields& fields, const char* name) const {
  std::vector<int32_t> ids;
  if (!fields.has(name)) return ids;
  for (const auto& id : fields.array(name)) {
    if (!id.is_number_integer() || id < 0 || id >= scores.size()) fields.refuse(fmt::format("{} {}", name, id.dump()));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// Lowest and highest score are those of ordinary tokens; a token of the user's scores just below its length times the
// highest.
void Unigram::State::read_sentencepiece(const JsonFields& fields) {
  const auto user_defined = ids_in(fields, "user_defined");
  auto ordinary = std::vector<bool>(scores.size(), true);
  for (const int32_t id : ids_in(fields, "outside")) outside[id] = true, ordinary[id] = false;
  for (const int32_t id : user_defined) ordinary[id] = false;
  auto low = std::numeric_limits<float>::max(), high = std::numeric_limits<float>::lowest();
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!ordinary[id]) continue;
    low = std::min(low, static_cast<float>(scores[id]));
    high = std::max(high, static_cast<float>(scores[id]));
  }
  lowest = low;
  for (const int32_t id : user_defined) scores[id] = static_cast<float>(vocabulary.tokens()[id].size()) * high - 0.1;
}

void Unigram::State::index() {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t id = 0; id < scores.size(); ++id)
    if (!outside[id]) entries.emplace_back(vocabulary.tokens()[id], static_cast<int32_t>(id));
  trie = ByteTrie(std::move(entries), where);
  for (size_t byte = 0; byte < 256; ++byte) byte_ids[byte] = vocabulary.id_of(fmt::format("<0x{:02X}>", byte));
}

template <class Score>
std::vector<Segment> Unigram::State::best_cut(std::string_view text, const std::vector<bool>* barred) const {
  thread_local std::vector<Reached<Score>> best;
  best.assign(text.size() + 1, {});
  const auto unknown_score = static_cast<Score>(lowest) - static_cast<Score>(unknown_penalty);
  const auto offer = [](Reached<Score>& at, Score score, size_t start, int32_t id) {
    if (at.start < 0 || score > at.score) at = {score, static_cast<int32_t>(start), id};
  };
  for (size_t start = 0; start < text.size();) {
    const size_t length = code_point_at(text, start).length;
    const auto here = best[start].score;
    bool alone = false;
    trie.each_prefix(text.substr(start), [&](size_t bytes, int32_t id) {
      if (barred && (*barred)[id]) return;
      offer(best[start + bytes], static_cast<Score>(scores[id] + static_cast<double>(here)), start, id);
      alone |= bytes == length;
    });
    if (!alone) offer(best[start + length], unknown_score + here, start, unknown);
    start += length;
  }
  std::vector<Segment> segments;
  for (size_t end = text.size(); end > 0; end = segments.back().begin)
    segments.push_back({static_cast<size_t>(best[end].start), end, best[end].id});
  std::reverse(segments.begin(), segments.end());
  if (best.capacity() > 1 << 20) std::vector<Reached<Score>>().swap(best);
  return segments;
}

void Unigram::State::put_unknown(std::string_view text, std::vector<int32_t>& out,
                                 const std::vector<bool>* barred) const {
  // Single characters that are unknown may spell a token together.
  const int32_t id = vocabulary.id_of(text);
  if (id >= 0 && !outside[id] && !(barred && (*barred)[id])) return out.push_back(id);
  const auto has_token = [&](unsigned char byte) { return byte_ids[byte] >= 0; };
  if (byte_fallback && std::all_of(text.begin(), text.end(), has_token)) {
    for (const unsigned char byte : text) out.push_back(byte_ids[byte]);
  } else if (unknown >= 0) {
    out.push_back(unknown);
  } else {
    fail(ErrorKind::config, fmt::format("{}: a text has characters without a token, and unk_id is null", where),
         "take a tokenizer with an unknown token");
  }
}

void Unigram::State::search(std::string_view text, std::vector<int32_t>& out, const std::vector<bool>* barred) const {
  const auto segments = sentencepiece ? best_cut<float>(text, barred) : best_cut<double>(text, barred);
  for (size_t i = 0; i < segments.size();) {
    size_t next = i + 1;
    if (segments[i].id != unknown) {
      out.push_back(segments[i].id);
    } else {
      while (next < segments.size() && segments[next].id == unknown) ++next;
      put_unknown(text.substr(segments[i].begin, segments[next - 1].end - segments[i].begin), out, barred);
    }
    i = next;
  }
}

Unigram::Unigram(const nlohmann::json& model, const std::string& where) : state_(std::make_unique<State>()) {
  const JsonFields fields(model, where);
  fields.only({"type", "unk_id", "vocab", "byte_fallback", "sentencepiece", "outside", "user_defined"});
  state_->where = where;
  state_->read_vocabulary(fields);
  if (fields.has("unk_id")) {
    const auto id = fields.integer("unk_id");
    if (id < 0 || id >= static_cast<int64_t>(size())) fields.refuse(fmt::format("unk_id {}", id));
    state_->unknown = static_cast<int32_t>(id);
  }
  state_->byte_fallback = fields.flag("byte_fallback", false);
  state_->sentencepiece = fields.flag("sentencepiece", false);
  if (state_->sentencepiece) state_->read_sentencepiece(fields);
  state_->index();
}

Unigram::~Unigram() = default;

void Unigram::encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const {
  if (barred) return state_->search(word, ids, barred);
  state_->cache.through(word, ids, [&](std::vector<int32_t>& out) { state_->search(word, out, nullptr); });
}

int32_t Unigram::id_of(std::string_view token) const { return state_->vocabulary.id_of(token); }
const std::vector<std::string>& Unigram::tokens() const { return state_->vocabulary.tokens(); }
size_t Unigram::size() const { return state_->vocabulary.size(); }
bool Unigram::reachable(int32_t id) const {
  return static_cast<size_t>(id) < state_->outside.size() && !state_->outside[id];
}
int32_t Unigram::unknown() const { return state_->unknown; }

}  // namespace antiphon::text
