#include <antiphon/text/tokenizer/bpe.h>

#include <algorithm>
#include <array>
#include <queue>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/byte_trie.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/pair_map.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/tokenizer/word_cache.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

// Longer left tokens count as this long: a rank has 22 bits.
constexpr size_t longest_left = 1023;
// Every place where such a token can be cut is looked at.
constexpr size_t longest_ranked = 4096;

struct Symbol {
  int32_t id, previous, next;
};
struct Candidate {
  uint32_t rank;
  int32_t position, result;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};
using Queue = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>>;

// "a b" or ["a", "b"].
std::pair<std::string, std::string> merge_parts(const nlohmann::json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const auto space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  fail(ErrorKind::config, fmt::format("{}: expected \"a b\" or [\"a\", \"b\"]", where),
       "the merges are damaged: fetch tokenizer.json again");
}

}  // namespace

struct Bpe::State {
  Vocabulary vocabulary;
  TextMap whole_words;  // by raw bytes; filled if the model ignores merges for known words
  std::array<int32_t, 256> byte_ids{}, last_byte_ids{};  // the latter end a word; equal without `word_end`
  std::string word_end;                                  // part of the last letter of each word
  PairMap merges{0};
  std::vector<bool> made;  // results of merges, and what is cut out of words before them
  int32_t unknown = -1;
  ByteTrie whole;  // tokens of the user's, which are letters
  bool byte_level = true, byte_fallback = false, fuse_unknown = false, ignore_merges = false;
  mutable WordCache cache;

  void read_bytes();
  void read_ranks(const JsonFields& fields);
  void add_splits(int32_t id, const std::vector<int64_t>& ranks, bool shorter_first);
  void read_merges(const nlohmann::json& list, const std::string& where);
  void merge_word(std::string_view word, std::vector<int32_t>& out, const std::vector<bool>* barred) const;
  void read_user_defined(const JsonFields& fields);
  std::vector<int32_t> letters_of(std::string_view word, const std::vector<bool>* barred) const;
  std::vector<Symbol> symbols_of(std::string_view word, const std::vector<bool>* barred) const;
  void push(Queue& queue, const std::vector<Symbol>& symbols, int32_t left, const std::vector<bool>* barred) const;
};

void Bpe::State::read_bytes() {
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(character, byte_alphabet()[byte]);
    byte_ids[byte] = vocabulary.id_of(byte_level ? character : fmt::format("<0x{:02X}>", byte));
    last_byte_ids[byte] = byte_level ? vocabulary.id_of(character + word_end) : byte_ids[byte];
  }
}

void Bpe::State::read_merges(const nlohmann::json& list, const std::string& where) {
  merges = PairMap(list.size());
  made.assign(vocabulary.tokens().size(), false);
  uint32_t rank = 0;
  for (const auto& merge : list) {
    const auto place = fmt::format("{}[{}]", where, rank);
    const auto [left, right] = merge_parts(merge, place);
    for (const auto& token : {left, right, left + right})
      if (vocabulary.id_of(token) < 0)
        fail(ErrorKind::config, fmt::format("{}: the token \"{}\" is not in the vocabulary", place, token),
             "vocabulary and merges do not belong together: fetch tokenizer.json again");
    const int32_t result = vocabulary.id_of(left + right);
    merges.set(vocabulary.id_of(left), vocabulary.id_of(right), {rank++, result});
    made[result] = true;
  }
}

// Every way to make the token `id` of two others.
void Bpe::State::add_splits(int32_t id, const std::vector<int64_t>& ranks, bool shorter_first) {
  const std::string_view token = vocabulary.tokens()[id];
  size_t letters = 0;
  for (size_t at = 0; at < token.size();) {
    at += code_point_at(token, at).length;
    ++letters;
    if (at >= token.size()) return;
    const int32_t left = vocabulary.id_of(token.substr(0, at));
    const int32_t right = left < 0 || ranks[left] < 0 ? -1 : vocabulary.id_of(token.substr(at));
    if (right < 0 || ranks[right] < 0) continue;
    const auto among = shorter_first ? std::min(letters, longest_left) : 0;
    merges.add(left, right, {static_cast<uint32_t>(ranks[id] << 10 | static_cast<int64_t>(among)), id});
    made[id] = true;
  }
}

void Bpe::State::read_ranks(const JsonFields& fields) {
  const auto& list = fields.array("ranks");
  const auto& tokens = vocabulary.tokens();
  if (list.size() != tokens.size()) fields.refuse(fmt::format("{} ranks for {} ids", list.size(), tokens.size()));
  std::vector<int64_t> ranks;
  size_t bytes = 0;
  for (const auto& rank : list) {
    const auto id = ranks.size();
    if (!rank.is_number_integer() || rank < -1 || rank > kMaxTokenId) fields.refuse("the rank " + rank.dump());
    ranks.push_back(tokens[id].empty() ? -1 : rank.get<int64_t>());
    if (tokens[id].size() > longest_ranked) fields.refuse(fmt::format("a token of {} bytes", tokens[id].size()));
    bytes += tokens[id].size();
  }
  merges = PairMap(bytes / 4);
  made.assign(tokens.size(), false);
  for (size_t id = 0; id < tokens.size(); ++id)
    if (ranks[id] >= 0) add_splits(static_cast<int32_t>(id), ranks, fields.flag("shorter_first", false));
}

void Bpe::State::read_user_defined(const JsonFields& fields) {
  if (!fields.has("user_defined")) return;
  const auto& tokens = vocabulary.tokens();
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (const auto& id : fields.array("user_defined")) {
    if (!id.is_number_integer() || id < 0 || id >= tokens.size()) fields.refuse("user_defined " + id.dump());
    entries.emplace_back(tokens[id.get<size_t>()], id.get<int32_t>());
    if (id < made.size()) made[id.get<size_t>()] = true;
  }
  whole = ByteTrie(std::move(entries), fields.where());
}

// The initial pieces of a word: ids before any merge, -1 for those without one.
std::vector<int32_t> Bpe::State::letters_of(std::string_view word, const std::vector<bool>* barred) const {
  std::vector<int32_t> letters;
  letters.reserve(word.size());
  for (size_t i = 0; i < word.size();) {
    size_t taken = 0;
    int32_t user = -1;
    whole.each_prefix(word.substr(i), [&](size_t bytes, int32_t found) {
      if (!barred || !(*barred)[found]) taken = bytes, user = found;
    });
    if (user >= 0) {
      letters.push_back(user);
      i += taken;
      continue;
    }
    const size_t length = byte_level ? 1 : code_point_at(word, i).length;
    const bool is_last = i + length >= word.size();
    const auto& ids = is_last ? last_byte_ids : byte_ids;
    const std::string bytes = std::string(word.substr(i, length)) + (is_last ? word_end : "");
    i += length;
    const int32_t id = byte_level ? ids[static_cast<unsigned char>(bytes[0])] : vocabulary.id_of(bytes);
    const auto has_token = [&](unsigned char byte) { return byte_ids[byte] >= 0; };
    if (id >= 0 || !byte_fallback || !std::all_of(bytes.begin(), bytes.end(), has_token))
      letters.push_back(id);
    else
      for (const unsigned char byte : bytes) letters.push_back(byte_ids[byte]);
  }
  return letters;
}

std::vector<Symbol> Bpe::State::symbols_of(std::string_view word, const std::vector<bool>* barred) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool after_unknown = false;
  for (int32_t id : letters_of(word, barred)) {
    const bool is_unknown = id < 0;
    if (is_unknown && (unknown < 0 || (fuse_unknown && after_unknown))) continue;
    if (is_unknown) id = unknown;
    after_unknown = is_unknown;
    const auto at = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1});
  }
  if (!symbols.empty()) symbols.back().next = -1;
  return symbols;
}

void Bpe::State::push(Queue& queue, const std::vector<Symbol>& symbols, int32_t left,
                      const std::vector<bool>* barred) const {
  if (left < 0 || symbols[left].next < 0) return;
  const auto* rule = merges.get(symbols[left].id, symbols[symbols[left].next].id);
  if (rule && !(barred && (*barred)[rule->result])) queue.push({rule->rank, left, rule->result});
}

void Bpe::State::merge_word(std::string_view word, std::vector<int32_t>& out, const std::vector<bool>* barred) const {
  auto symbols = symbols_of(word, barred);
  Queue queue;
  for (size_t i = 0; i + 1 < symbols.size(); ++i) push(queue, symbols, static_cast<int32_t>(i), barred);
  while (!queue.empty()) {
    const auto best = queue.top();
    queue.pop();
    auto& left = symbols[best.position];
    if (left.id < 0 || left.next < 0) continue;
    auto& right = symbols[left.next];
    // The pair may have changed since it was queued.
    const auto* rule = merges.get(left.id, right.id);
    if (!rule || rule->result != best.result) continue;
    left.id = best.result;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.position;
    push(queue, symbols, left.previous, barred);
    push(queue, symbols, best.position, barred);
  }
  for (const auto& symbol : symbols)
    if (symbol.id >= 0) out.push_back(symbol.id);
}

Bpe::Bpe(const nlohmann::json& model, const std::string& where, bool byte_level) : state_(std::make_unique<State>()) {
  const JsonFields fields(model, where);
  fields.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
               "byte_fallback", "ignore_merges", "vocab", "merges", "ranks", "shorter_first", "user_defined"});
  if (fields.has("dropout") && fields.any("dropout") != 0.0) fields.refuse("dropout");
  state_->byte_level = byte_level;
  state_->byte_fallback = fields.flag("byte_fallback", false);
  if (byte_level && state_->byte_fallback) fields.refuse("byte_fallback with byte-level tokens");
  if (!fields.text("continuing_subword_prefix", "").empty()) fields.refuse("continuing_subword_prefix");
  state_->word_end = fields.text("end_of_word_suffix", "");
  state_->vocabulary = Vocabulary(fields.object("vocab"), fields.at("vocab"));
  state_->read_bytes();
  fields.has("ranks") ? state_->read_ranks(fields) : state_->read_merges(fields.array("merges"), fields.at("merges"));
  state_->read_user_defined(fields);
  state_->fuse_unknown = fields.flag("fuse_unk", false);
  state_->ignore_merges = fields.flag("ignore_merges", false);
  if (fields.has("unk_token")) {
    state_->unknown = id_of(fields.text("unk_token"));
    if (state_->unknown < 0)
      fail(ErrorKind::config,
           fmt::format("{}: \"{}\" is not in the vocabulary", fields.at("unk_token"), fields.text("unk_token")),
           "fetch tokenizer.json again");
  }
  if (!state_->ignore_merges) return;
  for (const auto& [token, id] : state_->vocabulary.ids())
    if (const auto word = byte_level ? alphabet_to_bytes(token) : std::optional(token))
      state_->whole_words.emplace(*word, id);
}

Bpe::~Bpe() = default;

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const {
  if (state_->ignore_merges) {
    const auto whole = state_->whole_words.find(word);
    if (whole != state_->whole_words.end() && !(barred && (*barred)[whole->second]))
      return ids.push_back(whole->second);
  }
  if (barred) return state_->merge_word(word, ids, barred);
  state_->cache.through(word, ids, [&](std::vector<int32_t>& out) { state_->merge_word(word, out, nullptr); });
}

int32_t Bpe::id_of(std::string_view token) const { return state_->vocabulary.id_of(token); }
const std::vector<std::string>& Bpe::tokens() const { return state_->vocabulary.tokens(); }
size_t Bpe::size() const { return state_->vocabulary.size(); }
bool Bpe::reachable(int32_t id) const {
  return static_cast<size_t>(id) < state_->made.size() && (state_->made[id] || state_->ignore_merges);
}
int32_t Bpe::unknown() const { return state_->unknown; }

}  // namespace antiphon::text
