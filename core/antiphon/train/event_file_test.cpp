// Frames and checksums; tests/e2e/pipeline_test.py reads such a file with TensorBoard itself.
#include <antiphon/base/files.h>
#include <antiphon/train/event_file.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

#include <cstring>

using namespace antiphon;
using namespace antiphon::train;

namespace {

template <class T>
T number(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint32_t masked(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

// The payloads of a file of TFRecord frames; every checksum must fit.
std::vector<std::string> frames(const std::string& bytes) {
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size();) {
    REQUIRE(at + 12 <= bytes.size());
    const auto length = number<uint64_t>(bytes, at);
    REQUIRE(at + 16 + length <= bytes.size());
    CHECK(number<uint32_t>(bytes, at + 8) == masked(bytes.substr(at, 8)));
    out.push_back(bytes.substr(at + 12, length));
    CHECK(number<uint32_t>(bytes, at + 12 + length) == masked(out.back()));
    at += 16 + length;
  }
  return out;
}

}  // namespace

// RFC 3720, appendix B.4.
TEST_CASE("CRC32C gives the published values") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  CHECK(crc32c(rising) == 0x46dd794eu);
}

TEST_CASE("an event file is framed, begins with its version and holds tags and values") {
  weights::TestFolder folder;
  {
    EventFile file(folder.path());
    file.scalars(300, {{"train/loss", 2.5}, {"train/lr", 1e-4}});
  }
  REQUIRE(folder.count() == 1);
  const auto path = std::filesystem::directory_iterator(folder.path())->path();
  CHECK(path.filename().string().starts_with("events.out.tfevents."));
  const auto events = frames(read_file(path, ErrorKind::data));
  REQUIRE(events.size() == 2);
  CHECK(events[0].find("brain.Event:2") != std::string::npos);
  const float loss = 2.5f;
  CHECK(events[1].find("train/loss") != std::string::npos);
  CHECK(events[1].find(std::string(reinterpret_cast<const char*>(&loss), 4)) != std::string::npos);
  CHECK(events[1].find("\x10\xac\x02") != std::string::npos);  // field 2, varint 300
}

TEST_CASE("if no file can be made, scalars are dropped") {
  EventFile file("/proc/nowhere");
  CHECK_NOTHROW(file.scalars(1, {{"a", 1}}));
}
