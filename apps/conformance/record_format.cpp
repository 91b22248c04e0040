#include <antiphon/component/record_format.h>

#include <algorithm>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/strings.h>
#include <nlohmann/json.hpp>

#include "subject.h"

namespace antiphon::apps::conformance {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Json> records_in(const std::filesystem::path& file) {
  expect(!file.empty(), "expected --data FILE with records of its own, got none");
  std::vector<Json> records;
  for (const auto& line : split(read_file(file, ErrorKind::data), '\n')) {
    if (trim(line).empty()) continue;
    JsonProblem problem;
    records.push_back(parse_ordered_json(line, problem));
    expect(records.back().is_object(), "expected JSON objects in {}, got: {}", file.string(), line.substr(0, 80));
  }
  expect(!records.empty(), "expected records in {}, got none", file.string());
  return records;
}

Sample read(const RecordFormat& format, const Json& record) {
  static const std::map<std::string, MediaBytes> none;
  return format.read(record, {"/data", none});
}

void recognises_its_own(const RecordFormat& format, const std::vector<Json>& records) {
  expect(!format.expects().empty(), "expected words for what makes a record one of its own");
  for (const auto& record : records)
    expect(format.recognises(record), "expected it to recognise {}", record.dump().substr(0, 80));
  for (const auto& foreign : {Json::object(), Json{{"id", 1}, {"metadata", Json::object()}}})
    expect(!format.recognises(foreign), "expected it not to recognise {}", foreign.dump());
}

void knows_its_keys(const RecordFormat& format, const std::vector<Json>& records) {
  const auto keys = format.keys();
  for (const auto& record : records)
    for (const auto& [key, value] : record.items())
      expect(key == "id" || keys.contains(key), "expected only keys that keys() names in its records, got '{}'", key);
}

void check_turns(const std::vector<SampleTurn>& turns, const Sample& sample) {
  std::vector<std::string> roles{"system", "user", "assistant", "tool"};
  if (turns.size() == 1) roles.emplace_back("document");
  for (const auto& turn : turns) {
    expect(std::ranges::find(roles, turn.role) != roles.end(), "expected one of {}, got the role '{}'",
           join(roles, ", "), turn.role);
    for (const auto& part : turn.parts)
      expect(part.media < static_cast<int64_t>(sample.media.size()), "expected one of {} media, got number {}",
             sample.media.size(), part.media);
  }
}

void samples_are_whole(const RecordFormat& format, const std::vector<Json>& records) {
  for (const auto& record : records) {
    const auto sample = read(format, record);
    expect(!sample.turns.empty(), "expected turns, got none");
    check_turns(sample.turns, sample);
    for (const auto& candidate : sample.candidates) check_turns(candidate.turns, sample);
    expect(sample.candidates.empty() != format.compares(), "expected answers to compare as compares() says, got {}",
           sample.candidates.size());
  }
}

// Whatever stands under a key, it is read or refused in words.
void bad_values_are_refused(const RecordFormat& format, const std::vector<Json>& records) {
  const std::vector<Json> odd{7, true, nullptr, "\xF0\x9F\x98\x80", Json::array(), Json::array({7}), Json::object()};
  int refused = 0;
  for (const auto& record : records)
    for (const auto& [key, value] : record.items())
      for (const auto& other : odd) {
        auto changed = record;
        changed[key] = other;
        try {
          read(format, changed);
        } catch (const Error& error) {
          ++refused;
          expect(error.kind() == ErrorKind::data && !error.message().empty(), "expected an error of data, got {}: {}",
                 to_string(error.kind()), error.message());
        }
      }
  expect(refused > 0, "expected a refusal of some of the odd values, got none");
}

void check_record_format(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<RecordFormat>(subject))) return;
  const auto format = build<RecordFormat>(subject);
  std::vector<Json> records;
  if (!report.check("data: records of its own are given", [&] { records = records_in(subject.data); })) return;
  report.check("recognises: its own records and no others", [&] { recognises_its_own(*format, records); });
  report.check("keys: those of its records", [&] { knows_its_keys(*format, records); });
  report.check("read: whole samples", [&] { samples_are_whole(*format, records); });
  report.check("read: what is odd is refused as data", [&] { bad_values_are_refused(*format, records); });
  report.check("read: an empty object is refused",
               [&] { expect_error(ErrorKind::data, {}, [&] { read(*format, Json::object()); }); });
}

const KindChecks registered{KindOf<RecordFormat>::name, check_record_format};

}  // namespace
}  // namespace antiphon::apps::conformance
