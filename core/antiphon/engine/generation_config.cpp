#include <antiphon/engine/generation_config.h>

#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/json_table.h>
#include <antiphon/engine/generation_keys.h>
#include <antiphon/weights/json_file.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace antiphon::engine {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

constexpr int64_t most = 1000000;

JsonTable table_of(const std::filesystem::path& folder) {
  for (const char* name : {"generation_config.json", "config.json"})
    if (auto table = weights::read_json_table(folder / name); table.exists()) return table;
  return {};
}

std::string told(const std::string& key, const json& value) { return fmt::format("{} = {}", key, short_text(value)); }

// A value that asks for nothing is taken and not reported.
template <class T>
void take(Texts& taken, const char* key, std::optional<T>& option, T value, T nothing) {
  if (value != nothing) taken.push_back(told(key, value));
  option = value;
}

bool is_id(const json& value) { return value.is_number_integer() && value >= 0; }

std::vector<int64_t> ids_of(const JsonTable& table, const char* key) {
  const auto* list = table.find(key);
  if (!list) return {};
  if (!list->is_array() || list->size() > most || !std::ranges::all_of(*list, is_id))
    table.refuse(key, "a list of token ids");
  return list->get<std::vector<int64_t>>();
}

// Of a number of tokens of the answer and one of prompt and answer the first counts, as there. But what [generate] says
// of either counts before both.
void take_lengths(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  const auto take_one = [&](const char* key, std::optional<int64_t>& option, int64_t min, int64_t max) {
    if (!table.find(key)) return false;
    take<int64_t>(taken, key, option, table.integer(key, 0, min, max), 0);
    return true;
  };
  constexpr int64_t longest = int64_t{1} << 32;
  if (!o.max_tokens && !o.max_length && !take_one("max_new_tokens", o.max_tokens, 1, longest))
    take_one("max_length", o.max_length, 1, longest);
  if (!o.min_new_tokens && !o.min_length && !take_one("min_new_tokens", o.min_new_tokens, 0, most))
    take_one("min_length", o.min_length, 0, most);
}

void take_limits(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  if (!o.repetition_penalty)
    take(taken, "repetition_penalty", o.repetition_penalty, table.number("repetition_penalty", 1, 1e-3, 1e3), 1.0);
  if (!o.encoder_repetition_penalty)
    take(taken, "encoder_repetition_penalty", o.encoder_repetition_penalty,
         table.number("encoder_repetition_penalty", 1, 1e-3, 1e3), 1.0);
  if (!o.remove_invalid_values)
    take(taken, "remove_invalid_values", o.remove_invalid_values, table.flag("remove_invalid_values", false), false);
  if (!o.no_repeat_ngram_size)
    take<int64_t>(taken, "no_repeat_ngram_size", o.no_repeat_ngram_size,
                  table.integer("no_repeat_ngram_size", 0, 0, most), 0);
  if (!o.encoder_no_repeat_ngram_size)
    take<int64_t>(taken, "encoder_no_repeat_ngram_size", o.encoder_no_repeat_ngram_size,
                  table.integer("encoder_no_repeat_ngram_size", 0, 0, most), 0);
}

void take_ids(const JsonTable& table, const char* key, std::vector<int64_t>& ids, Texts& taken) {
  if (!ids.empty()) return;
  ids = ids_of(table, key);
  if (!ids.empty()) taken.push_back(told(key, ids));
}

// Words as lists of ids.
void take_bad_words(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  constexpr const char* key = "bad_words_ids";
  const auto* list = table.find(key);
  if (!list) return;
  const auto is_word = [](const json& word) {
    return word.is_array() && !word.empty() && std::ranges::all_of(word, is_id);
  };
  if (!list->is_array() || list->size() > most || !std::all_of(list->begin(), list->end(), is_word))
    table.refuse(key, "a list of words, each a list of token ids");
  o.bad_words_ids = list->get<std::vector<std::vector<int64_t>>>();
  if (!o.bad_words_ids.empty()) taken.push_back(told(key, *list));
}

// Runs of ids, each with what is added to the logit of its last. Of a run that stands twice the last bias counts, as
// there.
void take_biases(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  constexpr const char* key = "sequence_bias";
  const auto* list = table.find(key);
  if (!list || !o.sequence_bias.empty()) return;
  const auto is_bias = [](const json& one) {
    return one.is_array() && one.size() == 2 && one[0].is_array() && !one[0].empty() &&
           std::ranges::all_of(one[0], is_id) && one[1].is_number() && std::abs(one[1].get<double>()) <= most;
  };
  if (!list->is_array() || list->size() > most || !std::ranges::all_of(*list, is_bias))
    table.refuse(key, "a list of pairs, each a list of token ids and a number of at most a million");
  std::map<std::vector<int64_t>, double> biases;
  for (const auto& one : *list) biases[one[0].get<std::vector<int64_t>>()] = one[1];
  for (const auto& [ids, bias] : biases) o.sequence_bias.push_back({ids, bias});
  if (!biases.empty()) taken.push_back(told(key, *list));
}

// One id or several.
void take_forced(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  if (!o.forced_bos_token_id && table.find("forced_bos_token_id"))
    take<int64_t>(taken, "forced_bos_token_id", o.forced_bos_token_id,
                  table.integer("forced_bos_token_id", 0, 0, int64_t{1} << 32), -1);
  constexpr const char* last = "forced_eos_token_id";
  const auto* value = table.find(last);
  if (!value || value->is_array()) return take_ids(table, last, o.forced_eos_token_id, taken);
  if (!is_id(*value)) table.refuse(last, "a token id, or a list of them");
  if (!o.forced_eos_token_id.empty()) return;
  o.forced_eos_token_id = {value->get<int64_t>()};
  taken.push_back(told(last, *value));
}

// A number of tokens and a factor.
void take_decay(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  constexpr const char* key = "exponential_decay_length_penalty";
  const auto* pair = table.find(key);
  if (!pair || !o.exponential_decay_length_penalty.empty()) return;
  const auto in_bounds = [](const json& value) { return value.is_number() && value >= 0 && value <= most; };
  if (!pair->is_array() || pair->size() != 2 || !std::ranges::all_of(*pair, in_bounds) ||
      !pair->at(0).is_number_integer())
    table.refuse(key, "a pair of a number of tokens and a factor, neither below 0 or above a million");
  o.exponential_decay_length_penalty = pair->get<std::vector<double>>();
  taken.push_back(told(key, *pair));
}

// Without do_sample these are without effect there; but [generate] may ask for sampling, which then goes by them.
void take_sampling(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  const bool sample = table.flag("do_sample", false);
  if (sample && !o.temperature) {
    taken.push_back("do_sample = true");
    take(taken, "temperature", o.temperature, table.number("temperature", 1, 1e-3, 100), 0.0);
  }
  if (o.greedy()) return;
  if (!o.top_k) take<int64_t>(taken, "top_k", o.top_k, table.integer("top_k", sample ? 50 : 0, 0, most), 0);
  if (!o.top_p) take(taken, "top_p", o.top_p, table.number("top_p", 1, 0, 1), 1.0);
  if (!o.min_p) take(taken, "min_p", o.min_p, table.number("min_p", 0, 0, 1), 0.0);
  if (!o.top_h && table.find("top_h")) take(taken, "top_h", o.top_h, table.number("top_h", 1, 1e-6, 1), 0.0);
  if (!o.typical_p) take(taken, "typical_p", o.typical_p, table.number("typical_p", 1, 1e-6, 1), 1.0);
  if (!o.epsilon_cutoff) take(taken, "epsilon_cutoff", o.epsilon_cutoff, table.number("epsilon_cutoff", 0, 0, 1), 0.0);
  if (!o.eta_cutoff) take(taken, "eta_cutoff", o.eta_cutoff, table.number("eta_cutoff", 0, 0, 1), 0.0);
}

// One text or several.
void take_stop_strings(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  const auto* value = table.find("stop_strings");
  if (!value || !o.stop.empty()) return;
  const auto list = value->is_string() ? json::array({*value}) : *value;
  const bool good = list.is_array() && list.size() <= most && std::ranges::all_of(list, [](const json& text) {
                      return text.is_string() && !text.get_ref<const std::string&>().empty();
                    });
  if (!good) table.refuse("stop_strings", "a text, or a list of texts that are not empty");
  o.stop = list.get<std::vector<std::string>>();
  if (!o.stop.empty()) taken.push_back(told("stop_strings", *value));
}

// early_stopping there: true, false or "never".
std::string early_stopping_of(const JsonTable& table) {
  const auto* value = table.find("early_stopping");
  if (!value) return {};
  if (value->is_boolean()) return value->get<bool>() ? "true" : "false";
  if (*value != "never") table.refuse("early_stopping", "true, false or \"never\"");
  return "never";
}

// Of one that samples they are not taken, but named.
void take_beams(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  if (!o.num_beams && o.greedy())
    take<int64_t>(taken, "num_beams", o.num_beams, table.integer("num_beams", 1, 1, 1024), 1);
  if (o.beams() == 1) return;
  if (!o.length_penalty)
    take(taken, "length_penalty", o.length_penalty, table.number("length_penalty", 1, -100, 100), 1.0);
  if (!o.renormalize_logits)
    take(taken, "renormalize_logits", o.renormalize_logits, table.flag("renormalize_logits", false), false);
  if (!o.early_stopping.empty()) return;
  o.early_stopping = early_stopping_of(table);
  if (!o.early_stopping.empty() && o.early_stopping != "false")
    taken.push_back(told("early_stopping", *table.find("early_stopping")));
}

std::string absent_keys(const JsonTable& table, const GenerateOptions& o) {
  Texts texts;
  if (const auto* beams = table.find("num_beams"); beams && *beams != 1 && !o.greedy())
    texts.push_back(told("num_beams", *beams));
  // The other kinds hold the numbers as they are.
  if (const auto* cache = table.find("cache_implementation"); cache && *cache == "quantized")
    texts.push_back(told("cache_implementation", *cache));
  for (const auto& [key, nothing] : absent_generation_keys())
    if (const auto* value = table.find(key); value && *value != nothing && !(value->is_structured() && value->empty()))
      texts.push_back(told(key, *value));
  return join(texts, ", ");
}

// Unknown keys of config.json are reported by the model, not here.
std::string unknown_keys(const JsonTable& table) {
  Texts texts;
  if (std::filesystem::path(table.file()).filename() == "config.json") return {};
  for (const auto& [key, value] : table.json().items())
    if (!is_generation_key(key)) texts.push_back(told(key, value));
  return join(texts, ", ");
}

}  // namespace

GenerationConfig take_generation_config(const std::filesystem::path& folder, GenerateOptions& options) {
  const auto table = folder.empty() ? JsonTable() : table_of(folder);
  if (!table.exists()) return {};
  Texts taken;
  take_lengths(table, options, taken);
  take_limits(table, options, taken);
  take_ids(table, "suppress_tokens", options.suppress_tokens, taken);
  take_ids(table, "begin_suppress_tokens", options.begin_suppress_tokens, taken);
  take_bad_words(table, options, taken);
  take_biases(table, options, taken);
  take_forced(table, options, taken);
  take_decay(table, options, taken);
  take_sampling(table, options, taken);
  take_stop_strings(table, options, taken);
  take_beams(table, options, taken);
  return {table.file(), join(taken, ", "), absent_keys(table, options), unknown_keys(table)};
}

void read_generation_config(const std::filesystem::path& folder, int64_t vocab_size, GenerateOptions& options) {
  check_ids(options, vocab_size, ErrorKind::config, "generate.");
  const auto said = take_generation_config(folder, options);
  check_ids(options, vocab_size, ErrorKind::weights, said.file + ": ");
  if (!said.taken.empty()) log::info(fmt::format("  {}: {}; [generate] may say otherwise", said.file, said.taken));
  if (!said.absent.empty())
    log::warning(fmt::format("{}: {} asked for, which is not done here: answers may differ from transformers'",
                             said.file, said.absent));
  if (!said.unknown.empty()) log::info(fmt::format("  {}: {} without effect", said.file, said.unknown));
}

}  // namespace antiphon::engine
