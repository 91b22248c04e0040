#include <antiphon/base/files.h>

#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <fstream>

using namespace antiphon;

namespace {

struct Scratch {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("antiphon-files-" + std::to_string(::getpid()));
  explicit Scratch(const std::string& bytes) { std::ofstream(path) << bytes; }
  ~Scratch() { std::filesystem::remove_all(path); }
};

ErrorKind kind_of_failure(const OpenFile& file) {
  try {
    file.read(0, 1);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

}  // namespace

TEST_CASE("files: a hash of pieces is that of the whole") {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += static_cast<char>(i * 7);
  for (const size_t piece : {1, 3, 64, 1000, 5000}) {
    ContentHash hash;
    for (size_t at = 0; at < bytes.size(); at += piece) hash.add(std::string_view(bytes).substr(at, piece));
    CHECK(hash.digits() == content_hash(bytes));
  }
  CHECK(ContentHash().digits() == content_hash(""));
}

TEST_CASE("files: pieces of an open file") {
  const Scratch scratch("0123456789");
  const OpenFile file(scratch.path, ErrorKind::data);
  CHECK(file.size() == 10);
  CHECK(file.read(0, 3) == "012");
  CHECK(file.read(7, 100) == "789");
  CHECK(file.read(10, 1).empty());
  CHECK(file.read(100, 1).empty());
  CHECK_THROWS_AS(OpenFile(scratch.path / "below", ErrorKind::data), Error);
  CHECK_THROWS_AS(OpenFile(std::filesystem::temp_directory_path(), ErrorKind::data), Error);
}

TEST_CASE("files: what changes an open file is noticed; another file in its place is none of its business") {
  const Scratch scratch("0123456789");
  const OpenFile file(scratch.path, ErrorKind::data);
  write_file_atomic(scratch.path, "another one", ErrorKind::data);
  CHECK(file.read(0, 3) == "012");
  const OpenFile longer(scratch.path, ErrorKind::data);
  std::ofstream(scratch.path, std::ios::app) << "x";
  CHECK(kind_of_failure(longer) == ErrorKind::preempted);
  const OpenFile same_size(scratch.path, ErrorKind::data);
  std::filesystem::last_write_time(scratch.path, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  CHECK(kind_of_failure(same_size) == ErrorKind::preempted);
}
