#include "hashed_file.h"

#include <antiphon/base/error.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <thread>
#include <vector>

using namespace antiphon;
using namespace antiphon::json_lines;
using weights::TestFolder;

namespace {

std::string noise(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 13);
  return bytes;
}

void read_all(const HashedFile& file, uint64_t size, uint64_t piece) {
  for (uint64_t at = 0; at < size; at += piece) file.read(at, piece);
}

}  // namespace

TEST_CASE("hashed file: the hash is that of the file, however and how far it was read") {
  const TestFolder folder;
  const auto bytes = noise(3'000'017);
  folder.write("a", bytes);
  const auto expected = content_hash(bytes);
  const HashedFile all(folder / "a"), half(folder / "a"), none(folder / "a"), backwards(folder / "a"),
      many(folder / "a");
  read_all(all, bytes.size(), 1000);
  read_all(half, bytes.size() / 2, 4096);
  for (uint64_t at = bytes.size(); at > 0;) at -= std::min<uint64_t>(at, 7777), backwards.read(at, 7777);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) threads.emplace_back([&, i] { read_all(many, bytes.size(), 10'007 + i); });
  for (auto& thread : threads) thread.join();
  for (const auto* file : {&all, &half, &none, &backwards, &many}) {
    CHECK(file->hash() == expected);
    CHECK(file->hash() == expected);
  }
  CHECK(all.read(bytes.size() - 5, 100) == bytes.substr(bytes.size() - 5));
}

TEST_CASE("hashed file: after it was gone through once it is not read again") {
  const TestFolder folder;
  const auto bytes = noise(100'000);
  folder.write("a", bytes);
  const HashedFile read(folder / "a"), begun(folder / "a");
  read_all(read, bytes.size(), 4096);
  begun.read(0, 4096);
  std::filesystem::resize_file(folder / "a", 1);  // who reads now is told of it
  CHECK(read.hash() == content_hash(bytes));
  CHECK_THROWS_AS(begun.hash(), Error);
}
