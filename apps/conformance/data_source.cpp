#include <antiphon/component/data_source.h>

#include <fstream>
#include <thread>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <common/temporary_folder.h>
#include <nlohmann/json.hpp>

#include "subject.h"

namespace antiphon::apps::conformance {
namespace {

constexpr int64_t kLooked = 200;  // records

int64_t looked_at(const Records& records) { return std::min(records.size().value_or(0), kLooked); }

std::vector<DataRecord> all_of(const Records& records) {
  std::vector<DataRecord> all;
  if (records.size())
    for (int64_t i = 0; i < looked_at(records); ++i) all.push_back(records.record(i));
  for (auto step = records.size() ? std::nullopt : records.step(""); step; step = records.step(step->next))
    all.push_back(step->record);
  return all;
}

bool same(const std::vector<DataRecord>& a, const std::vector<DataRecord>& b) {
  return std::ranges::equal(a, b,
                            [](const auto& x, const auto& y) { return x.bytes == y.bytes && x.number == y.number; });
}

void recognises_its_own(const DataSource& source, const std::filesystem::path& file) {
  const auto bytes = OpenFile(file, ErrorKind::data).read(0, kFileStartBytes);
  expect(source.recognises({file, bytes}), "expected it to recognise {}", file.string());
  const std::filesystem::path other = "other.bin";
  const std::vector<std::string> others{"", "\n \n", {'\x7f', 'E', 'L', 'F', '\0', '\1'}};
  for (const auto& foreign : others)
    expect(!source.recognises({other, foreign}), "expected it not to recognise {} foreign bytes", foreign.size());
}

void records_are_objects(const Records& records) {
  const auto all = all_of(records);
  expect(!all.empty(), "expected records, got none");
  int64_t before = 0;
  for (const auto& record : all) {
    const auto json = parse_json(record.bytes);
    expect(json.is_object(), "expected a JSON object as record {}, got {}", record.number, record.bytes.substr(0, 80));
    expect(record.number > before, "expected rising numbers from 1, got {} after {}", record.number, before);
    before = record.number;
  }
}

void places_agree(const Records& records) {
  for (int64_t i = looked_at(records) - 1; i >= 0; --i)
    expect(records.number(i) == records.record(i).number, "expected number({}) as record({}) has it, {}, got {}", i, i,
           records.record(i).number, records.number(i));
}

// As another process does: without the steps before.
void goes_on_from_a_position(const Records& records, const Records& again) {
  if (records.size()) return;
  std::vector<std::string> positions{""}, read;
  for (auto step = records.step(""); step; step = records.step(step->next))
    positions.push_back(step->next), read.push_back(step->record.bytes);
  for (size_t n = read.size(); n-- > 0;) {
    const auto step = again.step(positions[n]);
    expect(step && step->record.bytes == read[n], "expected record {} from its position, got another one", n + 1);
  }
}

void threads_agree(const Records& records) {
  const auto alone = all_of(records);
  std::vector<std::vector<DataRecord>> seen(4);
  std::vector<std::thread> threads;
  for (auto& mine : seen) threads.emplace_back([&] { mine = all_of(records); });
  for (auto& thread : threads) thread.join();
  for (const auto& mine : seen) expect(same(mine, alone), "expected the same records from four threads at once");
}

void names_its_columns(const DataSource& source, const std::filesystem::path& file, const Records& records) {
  const auto columns = source.columns(file);
  if (!columns) return;
  for (const auto& record : all_of(records)) {
    const auto json = parse_json(record.bytes);
    for (const auto& [key, value] : json.items())
      expect(columns->contains(key), "expected only keys that columns() names in its records, got '{}'", key);
  }
}

// Whether the source leaves the key out is its own business.
void keeps_what_is_not_ignored(const DataSource& source, const std::filesystem::path& file, const Records& records) {
  const auto all = all_of(records);
  const auto first = parse_json(all.front().bytes);
  for (const auto& [key, value] : first.items()) {
    const auto rest = all_of(*source.open_without(file, {key}));
    expect(rest.size() == all.size(), "expected {} records without '{}', got {}", all.size(), key, rest.size());
    for (size_t i = 0; i < all.size(); ++i) {
      auto expected = parse_json(all[i].bytes), found = parse_json(rest[i].bytes);
      expected.erase(key), found.erase(key);
      expect(found == expected, "expected record {} as it is but for '{}', got {}", i + 1, key, rest[i].bytes);
    }
  }
}

// By the content: not by name, place or time.
void fingerprint_is_of_the_content(const DataSource& source, const std::filesystem::path& file) {
  const TemporaryFolder folder("conformance");
  const auto copy = folder.path() / ("copy" + file.extension().string());
  std::error_code failed;
  std::filesystem::copy_file(file, copy, failed);
  expect(!failed, "expected a copy of {}, got: {}", file.string(), failed.message());
  const auto first = source.open(file)->fingerprint(), second = source.open(copy)->fingerprint();
  expect(!first.empty() && first == second, "expected one fingerprint of a file and its copy, got '{}' and '{}'", first,
         second);
}

// The same records with the same media, in a file of its own.
void reads_what_it_writes(const DataSource& source, const Records& records) {
  if (source.written_extension().empty()) return;
  const TemporaryFolder folder("conformance");
  const auto path = folder.path() / ("again" + source.written_extension());
  const auto all = all_of(records);
  const auto sink = source.create(path);
  for (const auto& record : all) sink->describe(record);
  for (const auto& record : all) sink->add(record);
  sink->finish();
  const auto again = all_of(*source.open(path));
  expect(again.size() == all.size(), "expected {} records of what was written, got {}", all.size(), again.size());
  for (size_t i = 0; i < all.size(); ++i) {
    expect(parse_json(again[i].bytes) == parse_json(all[i].bytes), "expected record {} as it was written, {}, got {}",
           i + 1, all[i].bytes, again[i].bytes);
    for (const auto& [name, bytes] : all[i].media) {
      const auto found = again[i].media.find(name);
      expect(found != again[i].media.end() && found->second.read(INT32_MAX) == bytes.read(INT32_MAX),
             "expected the medium '{}' of record {} with its bytes", name, i + 1);
    }
  }
}

void refuses_what_is_missing(const DataSource& source) {
  const TemporaryFolder folder("conformance");
  expect_error(ErrorKind::data, {"nowhere"}, [&] { source.open(folder.path() / "nowhere.data"); });
  std::ofstream(folder.path() / "empty.data").flush();
  expect_error(ErrorKind::data, {"empty.data"}, [&] { source.open(folder.path() / "empty.data"); });
}

void check_data_source(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<DataSource>(subject))) return;
  const auto source = build<DataSource>(subject);
  if (!report.check("data: a file that it reads is given", [&] {
        expect(!subject.data.empty(), "expected --data FILE, got none");
        source->open(subject.data);
      }))
    return;
  const auto records = source->open(subject.data);
  report.check("recognises: its own files and no others", [&] { recognises_its_own(*source, subject.data); });
  report.check("records: JSON objects with rising numbers", [&] { records_are_objects(*records); });
  report.check("records: a number is that of its record", [&] { places_agree(*records); });
  report.check("records: the same from several threads", [&] { threads_agree(*records); });
  report.check("steps: go on from a position", [&] { goes_on_from_a_position(*records, *source->open(subject.data)); });
  report.check("columns: all keys of the records", [&] { names_its_columns(*source, subject.data, *records); });
  report.check("open_without: all but what is ignored",
               [&] { keeps_what_is_not_ignored(*source, subject.data, *records); });
  report.check("fingerprint: of the content", [&] { fingerprint_is_of_the_content(*source, subject.data); });
  report.check("create: what is written is read again", [&] { reads_what_it_writes(*source, *records); });
  report.check("open: a missing file and an empty one are refused", [&] { refuses_what_is_missing(*source); });
}

const KindChecks registered{KindOf<DataSource>::name, check_data_source};

}  // namespace
}  // namespace antiphon::apps::conformance
