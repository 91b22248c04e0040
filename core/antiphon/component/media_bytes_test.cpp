#include <antiphon/component/media_bytes.h>

#include <antiphon/base/error.h>
#include <antiphon/base/sample_time.h>

#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

#include <fstream>

using namespace antiphon;

namespace {

struct Archive {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("antiphon-archive-" + std::to_string(::getpid()));
  explicit Archive(const std::string& bytes) { std::ofstream(path) << bytes; }
  ~Archive() { std::filesystem::remove(path); }
};

std::string refusal(const MediaBytes& bytes, uint64_t limit) {
  try {
    bytes.read(limit);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

}  // namespace

TEST_CASE("media bytes: a file, a member of an archive and memory give the same") {
  const Archive archive("headerpicturetail");
  const auto member = MediaBytes::member(archive.path, 6, 7, "0001.png");
  CHECK(member.read(7) == "picture");
  CHECK(member.name() == archive.path.string() + ": 0001.png");
  CHECK(member.extension() == ".png");
  CHECK((!member.is_file() && member.file().empty()));
  const auto memory = MediaBytes::memory("picture", "a.wav");
  CHECK(memory.read(7) == "picture");
  CHECK((memory.name() == "a.wav" && memory.extension() == ".wav" && !memory.is_file()));
  const MediaBytes file = archive.path;
  CHECK(file.read(100) == "headerpicturetail");
  CHECK((file.is_file() && file.file() == archive.path && file.name() == archive.path.string()));
}

TEST_CASE("media bytes: limits of size hold for all, and what is cut off is told") {
  const Archive archive("headerpicture");
  for (const auto& bytes : {MediaBytes(archive.path), MediaBytes::member(archive.path, 0, 13, "x"),
                            MediaBytes::memory("headerpicture", "x")}) {
    CHECK(refusal(bytes, 12).find("has 13 bytes; at most 12 are allowed") != std::string::npos);
    CHECK(refusal(bytes, 13).empty());
  }
  CHECK(refusal(MediaBytes::member(archive.path, 6, 8, "x"), 100).find("ends after 7 of 8 bytes") != std::string::npos);
  CHECK(refusal(MediaBytes::member(archive.path, 60, 8, "x"), 100).find("ends after 0 of 8") != std::string::npos);
  CHECK(refusal(MediaBytes("nowhere.png"), 100).find("nowhere.png") != std::string::npos);
}

TEST_CASE("media bytes: what is made is made when it is read") {
  int calls = 0;
  const auto made = MediaBytes::made([&] { return ++calls, std::string("mixture"); }, "a and b", "cut.wav");
  CHECK((made.name() == "cut.wav" && made.extension() == ".wav" && !made.is_file() && made.file().empty()));
  CHECK((calls == 0 && made.read(7) == "mixture" && calls == 1));
  CHECK(refusal(made, 6).find("has 7 bytes; at most 6 are allowed") != std::string::npos);
  CHECK(made == MediaBytes::made([] { return std::string(); }, "a and b", "other.wav"));
  CHECK_FALSE(made == MediaBytes::made([] { return std::string(); }, "a and c", "cut.wav"));
  const SampleTime over(std::chrono::milliseconds(0));
  CHECK(refusal(made, 7).find("longer than the 0 s that one sample may take") != std::string::npos);
  CHECK(calls == 2);
}

TEST_CASE("media bytes: they are the same by where they are, or by what they are") {
  CHECK(MediaBytes("a.png") == MediaBytes(std::filesystem::path("a.png")));
  CHECK_FALSE(MediaBytes("a.png") == MediaBytes("b.png"));
  CHECK(MediaBytes::memory("x", "one") == MediaBytes::memory("x", "two"));
  CHECK_FALSE(MediaBytes::memory("x", "one") == MediaBytes::memory("y", "one"));
  CHECK_FALSE(MediaBytes::member("a.tar", 0, 5, "x") == MediaBytes::member("a.tar", 5, 5, "x"));
  CHECK_FALSE(MediaBytes::member("a.tar", 0, 5, "x") == MediaBytes("a.tar"));
}
