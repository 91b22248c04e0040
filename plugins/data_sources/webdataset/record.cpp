#include "record.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon::webdataset {
namespace {

using Json = nlohmann::ordered_json;

std::string bytes_of(const OpenFile& archive, const Member& member) {
  if (member.member.size > kMaxRecordBytes)
    fail(ErrorKind::data,
         fmt::format("'{}' has {}; at most {} are allowed", shown(member.member.name),
                     human_bytes(static_cast<double>(member.member.size)), human_bytes(kMaxRecordBytes)));
  auto bytes = archive.read(member.member.offset, member.member.size);
  if (!is_utf8(bytes)) fail(ErrorKind::data, fmt::format("'{}' is not valid UTF-8", shown(member.member.name)));
  return bytes;
}

Json value_of(const OpenFile& archive, const Member& member) {
  if (member.holds == Holds::media) return member.base_name();
  const auto bytes = bytes_of(archive, member);
  if (member.holds == Holds::text) return std::string(trim(bytes));
  JsonProblem problem;
  auto value = parse_ordered_json(trim(bytes), problem);
  if (!problem.problem.empty())
    fail(ErrorKind::data, fmt::format("'{}' is {}", shown(member.member.name), problem.problem));
  if (member.holds == Holds::number && !value.is_number_integer())
    fail(ErrorKind::data, fmt::format("'{}' is not a whole number", shown(member.member.name)));
  return value;
}

// "text" of "txt", "question" of "question.txt"
std::string key_of(const Member& member) {
  const auto dot = member.extension.rfind('.');
  if (dot != std::string::npos) return member.extension.substr(0, dot);
  return member.holds == Holds::text ? "text" : member.extension;
}

void put(Json& record, const std::string& key, Json value) {
  const auto it = record.find(key);
  if (it != record.end() && *it != value)
    fail(ErrorKind::data, fmt::format("two members say what '{}' is, and not the same", shown(key)));
  record[key] = std::move(value);
}

void merge(Json& record, const Member& member, const Json& object) {
  if (!object.is_object())
    fail(ErrorKind::data,
         fmt::format("'{}' is a JSON {}; expected an object", shown(member.member.name), object.type_name()));
  for (const auto& [key, value] : object.items()) put(record, key, value);
}

bool names(const Json& value, const Member& member) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text == member.extension || text == member.base_name() || text == member.member.name;
  }
  return value.is_structured() && std::ranges::any_of(value, [&](const Json& inner) { return names(inner, member); });
}

// Media that nothing in the record names.
void list_media(Json& record, const std::vector<Member>& members) {
  std::map<std::string, Json> lists;
  for (const auto& member : members) {
    if (member.holds != Holds::media || names(record, member)) continue;
    const std::string kind(to_string(member.modality));
    if (record.contains(kind) || record.contains(kind + "s"))
      fail(ErrorKind::data,
           fmt::format("the record lists {}s, and '{}' is not among them", kind, shown(member.base_name())),
           "name it there, by its name in the archive");
    lists[kind + "s"].push_back(member.base_name());
  }
  for (auto& [key, list] : lists) record[key] = std::move(list);
}

Json told_by_members(const OpenFile& archive, const std::vector<Member>& members) {
  auto record = Json::object();
  for (const auto& member : members)
    if (member.extension == "json") merge(record, member, value_of(archive, member));
  for (const auto& member : members)
    if (member.extension != "json" && member.holds != Holds::media)
      put(record, key_of(member), value_of(archive, member));
  list_media(record, members);
  return record;
}

// What "[turns][0]" is in a value.
Json part_of(Json value, std::string_view path, const std::string& field) {
  while (!path.empty()) {
    const auto close = path.find(']');
    if (path.front() != '[' || close == std::string_view::npos)
      fail(ErrorKind::data, fmt::format("'{}' of the field map is not NAME[KEY][NUMBER]", shown(field)));
    const auto key = path.substr(1, close - 1);
    size_t number = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    const bool counted = error == std::errc() && end == key.data() + key.size() && value.is_array();
    if (counted ? number >= value.size() : !value.is_object() || !value.contains(key))
      fail(ErrorKind::data, fmt::format("there is nothing at '{}', which the field map names", shown(field)));
    value = counted ? Json(value[number]) : Json(value.at(std::string(key)));
    path.remove_prefix(close + 1);
  }
  return value;
}

Json told_by_fields(const OpenFile& archive, const std::vector<Member>& members, const Fields& fields) {
  auto record = Json::object();
  for (const auto& [key, source] : fields) {
    const auto bracket = std::min(source.find('['), source.size());
    const auto choices = split(source.substr(0, bracket), ',');
    const auto member = std::ranges::find_if(members, [&](const Member& one) {
      return std::ranges::any_of(choices, [&](const auto& choice) { return trim(choice) == one.extension; });
    });
    if (member == members.end())
      fail(ErrorKind::data, fmt::format("the sample has no member '{}', which the field map names", shown(source)));
    record[key] = part_of(value_of(archive, *member), std::string_view(source).substr(bracket), source);
  }
  return record;
}

}  // namespace

DataRecord record_of(const OpenFile& archive, const std::vector<Member>& members, const Fields& fields) {
  if (members.empty())
    fail(ErrorKind::preempted, archive.path().string() + " has changed while it is in use", "start again");
  uint64_t told = 0;
  for (const auto& one : members) told += one.holds == Holds::media ? 0 : one.member.size;
  if (told > kMaxRecordBytes)
    fail(ErrorKind::data,
         fmt::format("the texts of the sample '{}' have {}; at most {} are allowed", shown(members.front().key),
                     human_bytes(static_cast<double>(told)), human_bytes(kMaxRecordBytes)));
  auto record = fields.empty() ? told_by_members(archive, members) : told_by_fields(archive, members, fields);
  if (!record.contains("id")) record["id"] = members.front().key;
  DataRecord out{record.dump()};
  out.closed = true;
  for (const auto& one : members) {
    if (one.holds != Holds::media) continue;
    const auto bytes = MediaBytes::member(archive.path(), one.member.offset, one.member.size, one.member.name);
    for (const auto& name : {one.extension, one.base_name(), one.member.name}) out.media.emplace(name, bytes);
  }
  return out;
}

}  // namespace antiphon::webdataset
