#include <antiphon/data/record_reader.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/utf8.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/data/components.h>

#include <algorithm>
#include <map>

namespace antiphon::data {
namespace {

using Json = nlohmann::ordered_json;

// Counted in characters from 1, of the line that the byte is in.
size_t column_of(std::string_view text, size_t byte) {
  const auto before = text.substr(0, byte), line = before.substr(before.rfind('\n') + 1);
  return 1 + count_characters(line);
}

Json parsed(const std::string& text) {
  if (!is_utf8(text)) fail(ErrorKind::data, "the record is not valid UTF-8");
  JsonProblem problem;
  auto object = parse_ordered_json(text, problem);
  if (!problem.problem.empty()) {
    const auto where = problem.byte ? fmt::format(", at column {}", column_of(text, problem.byte)) : "";
    fail(ErrorKind::data, "the record is " + problem.problem + where);
  }
  if (!object.is_object())
    fail(ErrorKind::data, fmt::format("the record is a JSON {}; expected an object", object.type_name()));
  return object;
}

// What holds in every format: an id, tags, and keys that nothing reads.
Sample names_in(const Json& object, std::set<std::string> known) {
  Sample sample;
  known.insert("id");
  records::check_keys(object, known, "", sample.unread);
  for (const auto& [key, value] : object.items())
    if (value.is_string() && !known.contains(key)) sample.tags[key] = value.get<std::string>();
  const auto id = object.find("id");
  if (id != object.end() && !id->is_null()) sample.id = id->is_string() ? id->get<std::string>() : id->dump();
  return sample;
}

// What came with the record and is in no turn, by what is the same in other records: the only name of several that does
// not say which sample it is, or the extension.
void note_unused(const std::map<std::string, MediaBytes>& given, Sample& sample) {
  std::set<std::string> used;
  for (const auto& ref : sample.media) used.insert(ref.bytes.key());
  std::map<std::string, std::vector<std::string>> names;  // of each medium
  for (const auto& [name, bytes] : given)
    if (const auto key = bytes.key(); !used.contains(key)) names[key].push_back(name);
  for (auto& [key, all] : names) {
    const auto& shortest = *std::ranges::min_element(all, {}, &std::string::size);
    const auto dot = shortest.rfind('.');
    sample.unread.insert("medium " +
                         (all.size() > 1 || dot == std::string::npos ? shortest : "*" + shortest.substr(dot)));
  }
}

std::vector<std::string> keys_in(const Json& record) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : record.items()) keys.push_back(key);
  return keys;
}

}  // namespace

std::string quoted(const std::vector<std::string>& keys) {
  constexpr size_t kMost = 12;
  std::vector<std::string> parts;
  for (size_t i = 0; i < std::min(keys.size(), kMost); ++i) parts.push_back("'" + shown(keys[i], 40) + "'");
  if (keys.size() > kMost) parts.push_back(fmt::format("and {} more", keys.size() - kMost));
  return parts.empty() ? "of none" : join(parts, ", ");
}

RecordReader::RecordReader(const SourceOptions& options, int64_t candidates)
    : names_(options), chosen_(options.format != kAuto), compares_(candidates > 1) {
  std::vector<Named<RecordFormat>> all;
  if (chosen_)
    all.push_back(built<RecordFormat>(options.format, options.format_options, "format_options"));
  else
    all = installed<RecordFormat>();
  for (auto& [name, format] : all) formats_.push_back({name, std::move(format), {}});
  for (auto& one : formats_) one.keys = one.format->keys();
}

std::string RecordReader::fingerprint() const {
  auto all = names_.fingerprint();
  for (const auto& one : formats_) all += one.format->fingerprint();
  return all;
}

const RecordReader::Format& RecordReader::choose(const Json& record) const {
  if (chosen_) return formats_.front();
  std::vector<const Format*> fitting[2];  // those for the objective, and others
  std::vector<std::string> expected;
  for (const auto& one : formats_) {
    expected.push_back(fmt::format("{} ({})", one.format->expects(), one.name));
    if (one.format->recognises(record)) fitting[one.format->compares() != compares_].push_back(&one);
  }
  const auto& best = fitting[0].empty() ? fitting[1] : fitting[0];
  if (best.size() == 1) return *best.front();
  if (best.empty())
    fail(ErrorKind::data,
         fmt::format("the record, with the keys {}, is of no layout that is known; expected {}",
                     quoted(keys_in(record)), join(expected, ", or ")),
         "see docs/data.md; give keys the names of a layout: rename = { KEY = \"image\" }, leave out others: ignore = "
         "[\"KEY\"], or name the layout: format = \"…\"");
  fail(ErrorKind::data,
       fmt::format("the record has both {} ({}) and {} ({})", best[0]->format->expects(), best[0]->name,
                   best[1]->format->expects(), best[1]->name),
       fmt::format("say which is meant: format = \"{}\"", best[0]->name));
}

Sample RecordReader::read(const DataRecord& record, const std::filesystem::path& folder, uint64_t draw) const {
  const auto object = names_.applied(parsed(record.bytes));
  const auto& [name, format, keys] = choose(object);
  auto named = names_in(object, keys);
  auto sample = format->read(object, {folder, record.media, record.closed, draw});
  sample.id = std::move(named.id), sample.tags.merge(named.tags), sample.unread.merge(named.unread);
  note_unused(record.media, sample);
  return sample;
}

std::string RecordReader::format_of(const DataRecord& record) const {
  return choose(names_.applied(parsed(record.bytes))).name;
}

std::vector<std::string> RecordReader::keys_of(const DataRecord& record) const { return keys_in(parsed(record.bytes)); }

}  // namespace antiphon::data
