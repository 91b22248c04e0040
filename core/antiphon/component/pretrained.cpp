#include <antiphon/component/pretrained.h>

#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/model_family.h>
#include <antiphon/config/expectation.h>
#include <antiphon/plugin/loader.h>

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

namespace antiphon {
namespace {

using config::Value;
using nlohmann::json;

Value value_of(const json& from, const config::Location& where) {
  if (from.is_boolean()) return {from.get<bool>(), where};
  if (from.is_number_unsigned() && from.get<uint64_t>() > INT64_MAX) return {from.get<double>(), where};
  if (from.is_number_integer()) return {from.get<int64_t>(), where};
  if (from.is_number()) return {from.get<double>(), where};
  if (from.is_string()) return {from.get<std::string>(), where};
  if (from.is_object()) {
    Value::Table table;
    for (const auto& [key, item] : from.items()) table.emplace(key, value_of(item, where));
    return {std::move(table), where};
  }
  Value::Array list;
  if (from.is_array())
    for (const auto& item : from) list.push_back(item.is_array() ? Value(Value::Array{}) : value_of(item, where));
  return {std::move(list), where};
}

const config::Field& field_of(const config::Schema& table, const std::string& option) {
  for (const auto& field : table.fields())
    if (field.key == option) return field;
  fail(ErrorKind::internal, fmt::format("the table '{}' has no option '{}'", table.name(), option));
}

template <class Body>
void collected(config::Problems& problems, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    problems.add({}, error.message(), error.fix(), error.kind());
  }
}

void set_option(const JsonTable& json, const ForeignKeys::Option& key, const config::Schema& table, void* options) {
  const auto* written = json.find(key.key);
  if (!written) return;
  auto field = field_of(table, key.option);
  field.rule.min = std::max(field.rule.min, key.min);
  config::Problems refused;
  const bool low = written->is_number() && written->get<double>() < key.min;
  if (!low) field.set(options, value_of(*written, {}), "", refused);
  if (low || !refused.empty()) json.refuse(key.key, config::expectation(field), "compare it with the model's original");
}

std::vector<std::string> unknown_keys(const JsonTable& json, const ForeignKeys& keys) {
  std::set<std::string> known(keys.other.begin(), keys.other.end());
  for (const auto& key : keys.options) known.insert(key.key);
  for (const auto& key : keys.fixed) known.insert(key.key);
  known.insert(keys.training.begin(), keys.training.end());
  std::vector<std::string> unknown;
  if (json.exists())
    for (const auto& [key, value] : json.json().items())
      if (!known.contains(key)) unknown.push_back(key);
  return unknown;
}

// A directory is read again for each of its parts, and says the same each time.
void warn_once(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::scoped_lock lock(mutex);
  if (said.insert(text).second) log::warning(text);
}

void say_ignored(const JsonTable& json, const ForeignKeys& keys) {
  for (const auto& key : keys.training)
    if (const auto* value = json.find(key); value && *value != 0 && *value != false)
      warn_once(fmt::format("{} is {}; training here does without it", json.place(key), short_text(*value)));
  auto unknown = unknown_keys(json, keys);
  if (unknown.empty() || keys.unknown_refused) return;
  const size_t count = unknown.size();
  unknown.resize(std::min<size_t>(count, 20));
  for (auto& key : unknown) key = short_text(key);
  warn_once(fmt::format("{}: not known here, and without effect: {}{}", json.file(), join(unknown, ", "),
                        count > 20 ? fmt::format(" and {} more", count - 20) : ""));
}

// Of quantised checkpoints those in bitsandbytes' 4 bits are read (weights/bitsandbytes.h).
void check_quantization(const JsonTable& json) {
  const char* key = "quantization_config";
  const auto* found = json.find(key);
  if (!found) return;
  const auto is = [&](const char* inner, const nlohmann::json& value) {
    return found->is_object() && found->contains(inner) && found->at(inner) == value;
  };
  const bool four_bits = is("quant_method", "bitsandbytes") &&
                         (is("load_in_4bit", true) || is("_load_in_4bit", true)) && !is("load_in_8bit", true) &&
                         (!found->contains("bnb_4bit_quant_storage") || is("bnb_4bit_quant_storage", "uint8"));
  if (four_bits) return;
  json.refuse(key, "nothing, or bitsandbytes' load_in_4bit with bnb_4bit_quant_storage \"uint8\"",
              "other quantised checkpoints are not read; take the model's original");
}

}  // namespace

ForeignKeys ForeignKeys::with(const ForeignKeys& more) const {
  auto all = *this;
  all.options.insert(all.options.end(), more.options.begin(), more.options.end());
  all.fixed.insert(all.fixed.end(), more.fixed.begin(), more.fixed.end());
  all.training.insert(all.training.end(), more.training.begin(), more.training.end());
  all.other.insert(all.other.end(), more.other.begin(), more.other.end());
  return all;
}

void check_fixed(const JsonTable& json, const ForeignKeys::Fixed& key) {
  const auto* written = json.find(key.key);
  if (!written || std::find(key.values.begin(), key.values.end(), *written) != key.values.end()) return;
  std::vector<std::string> texts;
  for (const auto& value : key.values) texts.push_back(short_text(value));
  json.refuse(key.key, texts.empty() ? "nothing" : join(texts, " or "), key.fix);
}

void check_keys(const JsonTable& table, const ForeignKeys& keys) {
  config::Problems problems;
  for (const auto& key : keys.fixed) collected(problems, [&] { check_fixed(table, key); });
  collected(problems, [&] { check_quantization(table); });
  if (keys.unknown_refused)
    for (const auto& key : unknown_keys(table, keys))
      collected(problems, [&] {
        check_fixed(table,
                    {key, {false, 0, "", json::array(), json::object()}, "what this key means is not known here"});
      });
  problems.throw_if_any();
  say_ignored(table, keys);
}

namespace foreign {

void read_options(const JsonTable& json, const std::vector<ForeignKeys::Option>& keys, const config::Schema& table,
                  void* options) {
  config::Problems problems;
  for (const auto& key : keys) collected(problems, [&] { set_option(json, key, table, options); });
  problems.throw_if_any();
}

void read_keys(const JsonTable& json, const ForeignKeys& keys, const config::Schema& table, void* options) {
  read_options(json, keys.options, table, options);
  check_keys(json, keys);
}

void check_options(const config::Schema& table, void* copy, const std::string& file) {
  config::Problems problems;
  table.read(copy, table.dump(copy), table.name(), problems);
  if (problems.empty()) return;
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    fail(ErrorKind::weights, fmt::format("{} asks for options that are refused: {}", file, error.message()),
         error.fix());
  }
}

}  // namespace foreign

void expect_model_type(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& expected) {
  if (pretrained.config.text("model_type", "") == expected) return;
  pretrained.config.refuse("model_type", fmt::format("\"{}\" for the plugin {}", expected, plugin),
                           "name the plugin of that model type, see `antiphon inspect`");
}

std::string plugin_reading(const std::string& kind, const JsonTable& config, const std::string& key) {
  const auto type = config.table(key).text("model_type", "");
  if (type.empty()) config.refuse(key, "a table with a model_type");
  auto name = plugin::component_reading(kind, type);
  if (name.empty())
    fail(ErrorKind::plugin,
         fmt::format("{} has model_type '{}', which no {} plugin reads", config.place(key), type, kind),
         "`antiphon inspect` lists the plugins; write one that READS it");
  return name;
}

}  // namespace antiphon
