#include "gzip_lines.h"

#include <zlib.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/stepped.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <thread>

using namespace antiphon;
using namespace antiphon::json_lines;
using weights::TestFolder;

namespace {

std::string packed(const std::string& text, int level = 6) {
  std::string out(compressBound(text.size()) + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data()), stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Lines of lengths that differ, half of them noise, and the number of each that is not blank.
struct Made {
  std::string text;
  std::vector<std::pair<int64_t, std::string>> records;
};
Made made(std::mt19937& random, int64_t lines) {
  Made made;
  for (int64_t number = 1; number <= lines; ++number) {
    if (random() % 40 == 0) {
      made.text += " \r\n";
      continue;
    }
    std::string more(random() % 60 == 0 ? 70'000 : random() % 300, 'x');
    if (random() % 2)
      for (auto& letter : more) letter = static_cast<char>('a' + random() % 26);
    made.records.emplace_back(number, fmt::format(R"({{"id": {}, "text": "{}"}})", number, more));
    made.text += made.records.back().second + (number < lines || random() % 2 ? "\n" : "");
  }
  return made;
}

std::unique_ptr<Records> lines_of(const std::filesystem::path& path, uint64_t apart = 1 << 20) {
  return std::make_unique<GzipLines>(path, GzipLines::make_idle(), apart == 1 << 10 ? 64 : 1024, apart);
}

// Those of `all` from thread to thread in another order.
bool same(const Records& records, const Made& all, uint64_t seed) {
  std::vector<size_t> order(all.records.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(seed)));
  order.resize(400);
  return std::ranges::all_of(order, [&](size_t i) {
    const auto record = records.record(static_cast<int64_t>(i));
    return record.bytes == all.records[i].second && record.number == all.records[i].first &&
           records.number(static_cast<int64_t>(i)) == record.number;
  });
}

}  // namespace

TEST_CASE("packed lines: each record is that of the text, in any order and from several threads") {
  std::mt19937 random(1);
  TestFolder folder;
  const auto all = made(random, 6000);
  const auto half = all.text.find('\n', all.text.size() / 2) + 100;
  // As one member; as two, cut within a line, with padding behind both; without compression.
  for (const auto& bytes : {packed(all.text),
                            packed(all.text.substr(0, half)) + std::string(509, '\0') + packed(all.text.substr(half)) +
                                std::string(7, '\0'),
                            packed("\xEF\xBB\xBF" + all.text, 0)}) {
    folder.write("a.jsonl.gz", bytes);
    for (const uint64_t apart : {1 << 20, 1 << 10}) {  // the second: places are forgotten
      const records::Stepped records(lines_of(folder / "a.jsonl.gz", apart), "a");
      REQUIRE(records.size() == static_cast<int64_t>(all.records.size()));
      CHECK(records.fingerprint() == content_hash(bytes));
      std::vector<int> good(4);
      std::vector<std::thread> threads;
      for (size_t i = 0; i < good.size(); ++i) threads.emplace_back([&, i] { good[i] = same(records, all, i); });
      for (auto& thread : threads) thread.join();
      CHECK(good == std::vector<int>(4, 1));
    }
  }
}

TEST_CASE("packed lines: a position of one process is that of another") {
  std::mt19937 random(2);
  TestFolder folder;
  const auto all = made(random, 2000);
  folder.write("a.jsonl.gz", packed(all.text));
  const auto first = lines_of(folder / "a.jsonl.gz", 1 << 14);
  std::string position;
  for (size_t i = 0; i < all.records.size(); ++i) {
    const auto step = first->step(position);
    REQUIRE(step);
    if (i % 200 == 0) CHECK(lines_of(folder / "a.jsonl.gz")->step(position)->record.bytes == all.records[i].second);
    position = step->next;
  }
  CHECK_FALSE(first->step(position));
}

TEST_CASE("packed lines: damage is an error of the data, at opening") {
  std::mt19937 random(3);
  TestFolder folder;
  const auto all = made(random, 300);
  const auto whole = packed(all.text);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    auto bytes = whole;
    if (i % 3 == 0)
      bytes.resize(1 + random() % (bytes.size() - 1));
    else
      bytes[10 + random() % (bytes.size() - 10)] ^= static_cast<char>(1 << random() % 8);  // behind the header
    folder.write("a.jsonl.gz", bytes);
    try {
      const records::Stepped records(lines_of(folder / "a.jsonl.gz", 1 << 10), "a");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      CHECK(error.message().find("a.jsonl.gz") != std::string::npos);
      ++refused;
    }
  }
  CHECK(refused == 300);
}

TEST_CASE("packed lines: a line of any length takes no more memory than a record may, and is refused alone") {
  TestFolder folder;
  folder.write("a.jsonl.gz", packed("{\"a\": 1}\n\n\"" + std::string(64 << 20, ' ') + "\"\n{\"a\": 3}"));
  const records::Stepped records(lines_of(folder / "a.jsonl.gz"), "a");
  REQUIRE(records.size() == 3);
  CHECK(records.record(2).bytes == "{\"a\": 3}");
  CHECK(records.number(1) == 3);  // behind an empty line
  try {
    records.record(1);
    FAIL("it was read");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(error.message().find("more than 16") != std::string::npos);
  }
}
