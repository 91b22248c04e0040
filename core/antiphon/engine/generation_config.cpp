#include <antiphon/engine/generation_config.h>

#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/json_table.h>
#include <antiphon/engine/generation_keys.h>
#include <antiphon/weights/json_file.h>

#include <fmt/format.h>

#include <algorithm>

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

std::vector<int64_t> ids_of(const JsonTable& table, const char* key) {
  const auto* list = table.find(key);
  if (!list) return {};
  const bool good =
      list->is_array() && list->size() <= most &&
      std::all_of(list->begin(), list->end(), [](const json& id) { return id.is_number_integer() && id >= 0; });
  if (!good) table.refuse(key, "a list of token ids");
  return list->get<std::vector<int64_t>>();
}

void take_limits(const JsonTable& table, GenerateOptions& o, Texts& taken) {
  if (!o.max_tokens && table.find("max_new_tokens"))
    take<int64_t>(taken, "max_new_tokens", o.max_tokens, table.integer("max_new_tokens", 0, 1, int64_t{1} << 32), 0);
  if (!o.repetition_penalty)
    take(taken, "repetition_penalty", o.repetition_penalty, table.number("repetition_penalty", 1, 1e-3, 1e3), 1.0);
  if (!o.no_repeat_ngram_size)
    take<int64_t>(taken, "no_repeat_ngram_size", o.no_repeat_ngram_size,
                  table.integer("no_repeat_ngram_size", 0, 0, most), 0);
  if (!o.min_new_tokens)
    take<int64_t>(taken, "min_new_tokens", o.min_new_tokens, table.integer("min_new_tokens", 0, 0, most), 0);
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
    return word.is_array() && !word.empty() &&
           std::all_of(word.begin(), word.end(), [](const json& id) { return id.is_number_integer() && id >= 0; });
  };
  if (!list->is_array() || list->size() > most || !std::all_of(list->begin(), list->end(), is_word))
    table.refuse(key, "a list of words, each a list of token ids");
  o.bad_words_ids = list->get<std::vector<std::vector<int64_t>>>();
  if (!o.bad_words_ids.empty()) taken.push_back(told(key, *list));
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
  if (!o.early_stopping.empty()) return;
  o.early_stopping = early_stopping_of(table);
  if (!o.early_stopping.empty() && o.early_stopping != "false")
    taken.push_back(told("early_stopping", *table.find("early_stopping")));
}

std::string absent_keys(const JsonTable& table, const GenerateOptions& o) {
  Texts texts;
  if (const auto* beams = table.find("num_beams"); beams && *beams != 1 && !o.greedy())
    texts.push_back(told("num_beams", *beams));
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
  take_limits(table, options, taken);
  take_ids(table, "suppress_tokens", options.suppress_tokens, taken);
  take_ids(table, "begin_suppress_tokens", options.begin_suppress_tokens, taken);
  take_bad_words(table, options, taken);
  take_sampling(table, options, taken);
  take_stop_strings(table, options, taken);
  take_beams(table, options, taken);
  return {table.file(), join(taken, ", "), absent_keys(table, options), unknown_keys(table)};
}

void read_generation_config(const std::filesystem::path& folder, GenerateOptions& options) {
  const auto said = take_generation_config(folder, options);
  if (!said.taken.empty()) log::info(fmt::format("  {}: {}; [generate] may say otherwise", said.file, said.taken));
  if (!said.absent.empty())
    log::warning(fmt::format("{}: {} asked for, which is not done here: answers may differ from transformers'",
                             said.file, said.absent));
  if (!said.unknown.empty()) log::info(fmt::format("  {}: {} without effect", said.file, said.unknown));
}

}  // namespace antiphon::engine
