#include <inspect/list.h>

#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/value.h>
#include <antiphon/plugin/loader.h>

namespace antiphon::apps {
namespace {

using config::Value;

Value summary(const plugin::Description& found) {
  Value::Array provides, reads;
  for (const auto& item : found.provides) provides.emplace_back(item);
  for (const auto& item : found.reads) reads.emplace_back(item);
  return Value::Table{{"name", found.name}, {"version", found.version},    {"provides", provides},    {"reads", reads},
                      {"doc", found.doc},   {"file", found.file.string()}, {"refusal", found.refusal}};
}

}  // namespace

int list_plugins(bool json) {
  const auto all = plugin::discover();
  if (json) {
    Value::Array items;
    for (const auto& found : all) items.push_back(summary(found));
    fmt::print("{}\n", config::to_json(items));
    return 0;
  }
  fmt::print("{:<16} {:<8} {:<28} {}\n", "PLUGIN", "VERSION", "PROVIDES", "WHAT IT IS");
  for (const auto& found : all) {
    if (found.refusal.empty())
      fmt::print("{:<16} {:<8} {:<28} {}\n", shown(found.name), shown(found.version), join(found.provides, ", "),
                 shown(found.doc, kWordsLetters));
    else
      fmt::print("{:<16} refused: {}\n", shown(found.name), found.refusal);
  }
  if (all.empty())
    log::info("no plugin was found; `antiphon doctor` shows where it looks, ANTIPHON_PLUGIN_PATH adds folders");
  log::info("`antiphon inspect NAME` shows the options of one, `antiphon inspect config` those of a whole file");
  return 0;
}

}  // namespace antiphon::apps
