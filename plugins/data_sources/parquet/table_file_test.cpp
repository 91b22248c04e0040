#include "table_file.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_nested.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/file.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/float16.h>
#include <parquet/arrow/writer.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cmath>
#include <thread>

using namespace antiphon;
using namespace antiphon::parquet_table;
using weights::TestFolder;

namespace {

constexpr int64_t kRows = 48, kRowBytes = 1 << 20, kGroup = 6;
constexpr size_t kThreads = 16;

std::string text_of(int64_t row) { return std::string(kRowBytes, static_cast<char>('a' + row % 26)); }

// A column "text" whose row groups are one page each.
void write_table(const std::filesystem::path& path) {
  arrow::StringBuilder builder;
  for (int64_t row = 0; row < kRows; ++row) REQUIRE(builder.Append(text_of(row)).ok());
  const auto table = arrow::Table::Make(arrow::schema({arrow::field("text", arrow::utf8())}), {*builder.Finish()});
  const auto out = *arrow::io::FileOutputStream::Open(path.string());
  const auto properties =
      parquet::WriterProperties::Builder().disable_dictionary()->data_pagesize(kGroup * kRowBytes)->build();
  REQUIRE(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, kGroup, properties).ok());
  REQUIRE(out->Close().ok());
}

// How many rows were read as they are, by threads that go through all of them in orders of their own.
int64_t read_by_threads(const TableFile& table) {
  std::atomic<int64_t> good{0};
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      for (int64_t i = 0; i < kRows; ++i) {
        const auto row = (i * 7 + static_cast<int64_t>(thread) * 11) % kRows;
        try {
          const auto record = table.record(row);
          good += record.bytes == "{\"text\":\"" + text_of(row) + "\"}" && record.number == row + 1;
        } catch (const Error&) {
        }
      }
    });
  for (auto& thread : threads) thread.join();
  return good;
}

// One row: a text, a pair of whole numbers, half a number, no number, and a span of time, which is of no type that is
// read.
void write_odd_table(const std::filesystem::path& path) {
  arrow::StringBuilder text;
  const auto whole = std::make_shared<arrow::Int32Builder>();
  arrow::FixedSizeListBuilder pair(arrow::default_memory_pool(), whole, 2);
  arrow::HalfFloatBuilder half;
  arrow::DoubleBuilder none;
  arrow::DurationBuilder span(arrow::duration(arrow::TimeUnit::SECOND), arrow::default_memory_pool());
  REQUIRE((text.Append("a").ok() && pair.Append().ok() && whole->Append(3).ok() && whole->Append(4).ok()));
  REQUIRE((half.Append(arrow::util::Float16(0.5F).bits()).ok() && none.Append(std::nan("")).ok()));
  REQUIRE(span.Append(5).ok());
  const auto schema = arrow::schema({arrow::field("text", arrow::utf8()), arrow::field("pair", pair.type()),
                                     arrow::field("half", arrow::float16()), arrow::field("none", arrow::float64()),
                                     arrow::field("span", span.type())});
  const auto table =
      arrow::Table::Make(schema, {*text.Finish(), *pair.Finish(), *half.Finish(), *none.Finish(), *span.Finish()});
  const auto out = *arrow::io::FileOutputStream::Open(path.string());
  const auto kept = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  const auto properties = parquet::WriterProperties::Builder().build();
  REQUIRE(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, 1, properties, kept).ok());
  REQUIRE(out->Close().ok());
}

// How a record without these columns cannot be read; else the record.
std::string read_without(const std::filesystem::path& path, const std::set<std::string>& ignored) {
  try {
    return TableFile(path, ignored, std::make_shared<Cursors>()).record(0).bytes;
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
}

// The most that reading one row group takes.
int64_t alone(const std::filesystem::path& path) {
  const auto cursors = std::make_shared<Cursors>();
  const TableFile table(path, {}, cursors);
  for (int64_t row = 0; row < kRows; ++row) table.record(row), cursors->close_all();
  return cursors->pool()->max_memory();
}

}  // namespace

TEST_CASE("threads that read tables share the memory that a set may take, and read all rows") {
  const TestFolder folder;
  write_table(folder / "a.parquet");
  const auto one = alone(folder / "a.parquet");
  REQUIRE(one > kRowBytes);
  for (const int64_t times : {2, 100}) {  // of what one thread takes; the second is enough for all
    const auto cursors = std::make_shared<Cursors>(times * one, 32 << 20);
    const TableFile table(folder / "a.parquet", {}, cursors);
    CHECK(read_by_threads(table) == kRows * static_cast<int64_t>(kThreads));
    // Threads may find the last bytes free at the same time.
    CHECK(cursors->pool()->max_memory() < std::min<int64_t>(times, kThreads) * one + 8 * one + (32 << 20));
  }
}

TEST_CASE("a row that is too much for the memory alone is an error of the data") {
  const TestFolder folder;
  write_table(folder / "a.parquet");
  const auto cursors = std::make_shared<Cursors>(kRowBytes);
  const TableFile table(folder / "a.parquet", {}, cursors);
  for (int64_t row = 0; row < 2; ++row) {
    try {
      table.record(row);
      FAIL("it was read");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      CHECK(error.message().find("a.parquet") != std::string::npos);
      CHECK(error.fix().find("smaller row groups") != std::string::npos);
    }
  }
}

TEST_CASE("columns of any type are in the way no longer if they are ignored") {
  const TestFolder folder;
  const auto path = folder / "odd.parquet";
  write_odd_table(path);
  const auto both = read_without(path, {"span"});
  CHECK(both.find("the column 'none' holds no number here: nan") != std::string::npos);
  CHECK(both.find(R"(ignore = ["none"])") != std::string::npos);
  const auto other = read_without(path, {"none"});
  CHECK(other.find("the column 'span' is of the type duration[s], which is not read") != std::string::npos);
  CHECK(other.find(R"(ignore = ["span"])") != std::string::npos);
  CHECK(read_without(path, {"none", "span"}) == R"({"text":"a","pair":[3,4],"half":0.5})");
  CHECK(read_without(path, {"none", "span", "pair", "half", "text"}) == "{}");
  const TableFile table(path, {"none"}, std::make_shared<Cursors>());
  CHECK(table.columns() == std::set<std::string>{"text", "pair", "half", "none", "span"});
}

TEST_CASE("a column that is ignored is never read, damaged as it may be") {
  const TestFolder folder;
  const auto path = folder / "a.parquet";
  write_odd_table(path);
  auto bytes = read_file(path, ErrorKind::data);
  // The bytes of the first column come first, behind the mark of the file: its pages cannot be read any more.
  std::fill_n(bytes.begin() + 4, 16, '\xff');
  folder.write("a.parquet", bytes);
  CHECK(read_without(path, {"none", "span"}).find("a.parquet: ") != std::string::npos);
  CHECK(read_without(path, {"none", "span", "text"}) == R"({"pair":[3,4],"half":0.5})");
}
