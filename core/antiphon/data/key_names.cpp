#include <antiphon/data/key_names.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>

namespace antiphon::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kExample = "write key of the records = key of a layout: rename = { audio_path = \"audio\" }";

std::string fingerprint_of(const config::Value& rename, const std::set<std::string>& ignored) {
  std::string text;
  if (const auto* table = rename.get_if<config::Value::Table>(); !table->empty())
    text += " rename " + config::to_json(rename, -1);
  if (!ignored.empty()) text += " ignore " + config::to_json(config::Value::Array(ignored.begin(), ignored.end()), -1);
  return text;
}

}  // namespace

void check_key_names(const SourceOptions& source, const std::string& section, config::Problems& problems) {
  const auto* table = source.rename.get_if<config::Value::Table>();
  if (!table)
    return problems.add(source.rename.where,
                        fmt::format("'rename' in [{}] is a {}; expected a table", section, source.rename.type_name()),
                        kExample);
  for (const auto& [key, name] : *table) {
    const auto* text = name.get_if<std::string>();
    if (!text || text->empty())
      problems.add(name.where,
                   fmt::format("'rename.{}' in [{}] is {}; expected the name of a key", shown(key), section,
                               shown(config::to_json(name, -1))),
                   kExample);
    if (std::ranges::count(source.ignore, key) > 0)
      problems.add(name.where, fmt::format("[{}] both renames and ignores the key '{}'", section, shown(key)),
                   "leave one of them out");
  }
}

KeyNames::KeyNames(const SourceOptions& source) : ignored_(source.ignore.begin(), source.ignore.end()) {
  config::Problems problems;
  check_key_names(source, source.path, problems);
  problems.throw_if_any();
  for (const auto& [key, name] : *source.rename.get_if<config::Value::Table>())
    renamed_[key] = *name.get_if<std::string>();
  fingerprint_ = fingerprint_of(source.rename, ignored_);
}

Json KeyNames::applied(Json record) const {
  if (fingerprint_.empty()) return record;
  auto named = Json::object();
  for (auto it = record.begin(); it != record.end(); ++it) {
    if (ignored_.contains(it.key())) continue;
    const auto other = renamed_.find(it.key());
    const auto& name = other == renamed_.end() ? it.key() : other->second;
    if (named.contains(name))
      fail(ErrorKind::data,
           fmt::format("the record has two values for '{}': `rename` gives another key a name that is there already",
                       shown(name)),
           fmt::format("choose another name, or leave out what has it: ignore = [\"{}\"]", shown(name)));
    named[name] = std::move(it.value());
  }
  return named;
}

std::set<std::string> KeyNames::all() const {
  auto keys = ignored_;
  for (const auto& [key, name] : renamed_) keys.insert(key);
  return keys;
}

}  // namespace antiphon::data
