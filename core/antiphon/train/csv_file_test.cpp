#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/train/csv_file.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::train;

TEST_CASE("a table of metrics: what was there, a row more, a column more") {
  weights::TestFolder folder;
  const auto lines = folder.path() / "metrics.jsonl", table = folder.path() / "metrics.csv";
  const auto text = [&] { return read_file(table, ErrorKind::config); };
  std::string records = "{\"b\":2.5,\"step\":1}\n{\"a,\\\"x\\\"\":1e-7,\"b\":3.0,\"step\":2}\n";
  write_file_atomic(lines, records, ErrorKind::config);
  CsvFile csv(table, lines);
  const std::string first = "step,\"a,\"\"x\"\"\",b\r\n1,,2.5\r\n2,1e-07,3\r\n";
  CHECK(text() == first);
  CHECK(csv.add(3, {{"b", 0.1}}));
  CHECK(text() == first + "3,,0.1\r\n");
  records += "{\"b\":0.1,\"step\":3}\n{\"c\":7.0,\"step\":4}\n";
  write_file_atomic(lines, records, ErrorKind::config);
  CHECK(csv.add(4, {{"c", 7.0}}));
  CHECK(text() == "step,\"a,\"\"x\"\"\",b,c\r\n1,,2.5,\r\n2,1e-07,3,\r\n3,,0.1,\r\n4,,,7\r\n");
}

TEST_CASE("a table that cannot be written is said to be") {
  weights::TestFolder folder;
  CsvFile csv(folder.path() / "metrics.csv", folder.path() / "metrics.jsonl");
  std::filesystem::remove_all(folder.path());
  CHECK_FALSE(csv.add(1, {{"a", 1}}));
  CHECK_THROWS_AS(CsvFile("/proc/nowhere/metrics.csv", "/proc/nowhere/metrics.jsonl"), Error);
}
