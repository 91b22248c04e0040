#include "table_sink.h"

#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/error.h>
#include <antiphon/weights/test_folder.h>

#include "table_file.h"

using namespace antiphon;
using namespace antiphon::parquet_table;
using weights::TestFolder;

namespace {

DataRecord record(std::string json, std::map<std::string, std::string> media = {}) {
  DataRecord one{std::move(json)};
  for (auto& [name, bytes] : media) one.media.emplace(name, MediaBytes::memory(bytes, name));
  return one;
}

void write(TableSink& sink, const std::vector<DataRecord>& records) {
  for (const auto& one : records) sink.describe(one);
  for (const auto& one : records) sink.add(one);
  sink.finish();
}

std::string problem_of(const std::vector<DataRecord>& records) {
  const TestFolder folder;
  TableSink sink(folder / "a.parquet");
  try {
    write(sink, records);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return "";
}

}  // namespace

TEST_CASE("what was written as a table is read as the same records, however large its groups are") {
  const std::vector<DataRecord> records{
      record(R"({"id":"a","images":["0.png","1.png"],"turns":[{"role":"user","loss":false}],"score":1})",
             {{"0.png", "one"}, {"1.png", std::string("two\0", 4)}}),
      record(R"({"id":"b","turns":[{"role":"user","text":"é"},{"role":"a"}],"score":0.5,"texts":[null,"x"]})"),
      record(R"({"id":"c","images":["far/2.png"],"turns":[],"late":"here"})")};
  for (const int64_t group_bytes : {1, 1 << 20}) {
    const TestFolder folder;
    TableSink sink(folder / "a.parquet", group_bytes);
    write(sink, records);
    const TableFile table(folder / "a.parquet", {}, std::make_shared<Cursors>());
    REQUIRE(table.size() == 3);
    for (size_t i = 0; i < records.size(); ++i) {
      const auto again = table.record(static_cast<int64_t>(i));
      CHECK(nlohmann::json::parse(again.bytes) == nlohmann::json::parse(records[i].bytes));
      CHECK(again.media.size() == records[i].media.size());
      for (const auto& [name, bytes] : records[i].media) CHECK(again.media.at(name).read(9) == bytes.read(9));
    }
  }
}

TEST_CASE("a set without records is a table without rows") {
  const TestFolder folder;
  TableSink sink(folder / "a.parquet");
  CHECK_NOTHROW(write(sink, {}));
}

TEST_CASE("what one column cannot hold is refused with its name") {
  CHECK(problem_of({record(R"({"a":{"b":"x"}})"), record(R"({"a":{"b":[1]}})")}) ==
        "the column 'a.b' of a table would hold lists here and texts before; a column has one type");
  CHECK(problem_of({record(R"({"a":"0.png"})", {{"0.png", "one"}}), record(R"({"a":1})")})
            .find("whole numbers here and media before") != std::string::npos);
  CHECK(problem_of({record(R"({"a":{}})")}).find("without members") != std::string::npos);
}

TEST_CASE("a record that was not described is refused") {
  const TestFolder folder;
  TableSink sink(folder / "a.parquet");
  sink.describe(record(R"({"a":1})"));
  CHECK_THROWS_AS(sink.add(record(R"({"a":"x"})")), Error);
  CHECK_THROWS_AS(sink.add(record(R"({"b":1})")), Error);
}

TEST_CASE("Hugging Face's features say which columns are media") {
  ColumnType type;
  const Media media{{"0.png", {}}};
  take_in(type, Json::parse(R"({"id":"a","n":1,"image":"0.png","audios":["0.png"],"other":"0.png"})"), media, "");
  const auto features = huggingface_feature(type, "");
  CHECK(features["id"] == Json{{"dtype", "string"}, {"_type", "Value"}});
  CHECK(features["n"]["dtype"] == "int64");
  CHECK(features["image"] == Json{{"_type", "Image"}});
  CHECK(features["audios"] == Json::array({Json{{"_type", "Audio"}}}));
  CHECK(features["other"]["bytes"]["dtype"] == "binary");
}
