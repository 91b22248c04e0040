#include <antiphon/text/tokenizer/bpe.h>

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/pair_map.h>
#include <antiphon/text/tokenizer/word_cache.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

constexpr int64_t max_id = (1 << 22) - 1;
// Longer words are rare and would fill the cache.
constexpr size_t max_cached_word = 64;

struct Hash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using Ids = std::unordered_map<std::string, int32_t, Hash, std::equal_to<>>;

int32_t lookup(const Ids& ids, std::string_view token) {
  const auto found = ids.find(token);
  return found == ids.end() ? -1 : found->second;
}

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
  Ids ids;
  std::vector<std::string> tokens;
  Ids whole_words;  // by raw bytes; filled if the model ignores merges for known words
  std::array<int32_t, 256> byte_ids{};
  PairMap merges{0};
  std::vector<bool> made;  // results of merges
  int32_t unknown = -1;
  bool byte_level = true, byte_fallback = false, fuse_unknown = false, ignore_merges = false;
  mutable WordCache cache;

  void read_vocabulary(const nlohmann::json& vocabulary, const std::string& where);
  void read_merges(const nlohmann::json& list, const std::string& where);
  void merge_word(std::string_view word, std::vector<int32_t>& out, const std::vector<bool>* barred) const;
  std::vector<int32_t> letters_of(std::string_view word) const;
  std::vector<Symbol> symbols_of(std::string_view word) const;
  void push(Queue& queue, const std::vector<Symbol>& symbols, int32_t left, const std::vector<bool>* barred) const;
};

void Bpe::State::read_vocabulary(const nlohmann::json& vocabulary, const std::string& where) {
  ids.reserve(vocabulary.size());
  for (const auto& [token, value] : vocabulary.items()) {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > max_id)
      fail(ErrorKind::config,
           fmt::format("{}: the id of \"{}\" is {}, expected 0 to {}", where, token, value.dump(), max_id),
           "fetch tokenizer.json again");
    const auto id = value.get<int32_t>();
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
    if (!tokens[id].empty())
      fail(ErrorKind::config, fmt::format("{}: \"{}\" and \"{}\" have the same id {}", where, tokens[id], token, id),
           "fetch tokenizer.json again");
    tokens[id] = token;
    ids.emplace(token, id);
  }
  if (ids.empty()) fail(ErrorKind::config, fmt::format("{} is empty", where), "fetch tokenizer.json again");
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(character, byte_alphabet()[byte]);
    byte_ids[byte] = lookup(ids, byte_level ? character : fmt::format("<0x{:02X}>", byte));
  }
}

void Bpe::State::read_merges(const nlohmann::json& list, const std::string& where) {
  merges = PairMap(list.size());
  made.assign(tokens.size(), false);
  uint32_t rank = 0;
  for (const auto& merge : list) {
    const auto place = fmt::format("{}[{}]", where, rank);
    const auto [left, right] = merge_parts(merge, place);
    for (const auto& token : {left, right, left + right})
      if (lookup(ids, token) < 0)
        fail(ErrorKind::config, fmt::format("{}: the token \"{}\" is not in the vocabulary", place, token),
             "vocabulary and merges do not belong together: fetch tokenizer.json again");
    const int32_t result = lookup(ids, left + right);
    merges.set(lookup(ids, left), lookup(ids, right), {rank++, result});
    made[result] = true;
  }
}

// The initial pieces of a word: ids before any merge, -1 for those without one.
std::vector<int32_t> Bpe::State::letters_of(std::string_view word) const {
  std::vector<int32_t> letters;
  letters.reserve(word.size());
  for (size_t i = 0; i < word.size();) {
    const size_t length = byte_level ? 1 : code_point_at(word, i).length;
    const auto bytes = word.substr(i, length);
    i += length;
    const int32_t id = byte_level ? byte_ids[static_cast<unsigned char>(bytes[0])] : lookup(ids, bytes);
    const auto has_token = [&](unsigned char byte) { return byte_ids[byte] >= 0; };
    if (id >= 0 || !byte_fallback || !std::all_of(bytes.begin(), bytes.end(), has_token))
      letters.push_back(id);
    else
      for (const unsigned char byte : bytes) letters.push_back(byte_ids[byte]);
  }
  return letters;
}

std::vector<Symbol> Bpe::State::symbols_of(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool after_unknown = false;
  for (int32_t id : letters_of(word)) {
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
  auto symbols = symbols_of(word);
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
  if (const auto type = fields.text("type", "BPE"); type != "BPE")
    fields.refuse(fmt::format("the model type {}", type));
  fields.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
               "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (fields.has("dropout") && fields.any("dropout") != 0.0) fields.refuse("dropout");
  state_->byte_level = byte_level;
  state_->byte_fallback = fields.flag("byte_fallback", false);
  if (byte_level && state_->byte_fallback) fields.refuse("byte_fallback with byte-level tokens");
  for (const auto* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!fields.text(affix, "").empty()) fields.refuse(affix);
  state_->read_vocabulary(fields.object("vocab"), fields.at("vocab"));
  state_->read_merges(fields.array("merges"), fields.at("merges"));
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
  for (const auto& [token, id] : state_->ids)
    if (const auto word = byte_level ? alphabet_to_bytes(token) : std::optional(token))
      state_->whole_words.emplace(*word, id);
}

Bpe::~Bpe() = default;
Bpe::Bpe(Bpe&&) noexcept = default;
Bpe& Bpe::operator=(Bpe&&) noexcept = default;

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const {
  if (state_->ignore_merges) {
    const int32_t whole = lookup(state_->whole_words, word);
    if (whole >= 0 && !(barred && (*barred)[whole])) return ids.push_back(whole);
  }
  const bool cached = !barred && word.size() <= max_cached_word;
  if (cached && state_->cache.find(word, ids)) return;
  const size_t before = ids.size();
  state_->merge_word(word, ids, barred);
  if (cached) state_->cache.add(word, {ids.begin() + static_cast<ptrdiff_t>(before), ids.end()});
}

int32_t Bpe::id_of(std::string_view token) const { return lookup(state_->ids, token); }
const std::vector<std::string>& Bpe::tokens() const { return state_->tokens; }
size_t Bpe::size() const { return state_->ids.size(); }
bool Bpe::reachable(int32_t id) const {
  return static_cast<size_t>(id) < state_->made.size() && (state_->made[id] || state_->ignore_merges);
}

}  // namespace antiphon::text
