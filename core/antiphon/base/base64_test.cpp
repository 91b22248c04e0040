#include <antiphon/base/base64.h>

#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;

// RFC 4648, section 10.
TEST_CASE("base64: the vectors of the standard") {
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) {
    CHECK(to_base64(bytes) == text);
    CHECK(from_base64(text) == bytes);
  }
}

TEST_CASE("base64: all bytes go both ways") {
  std::mt19937 random(3);
  for (size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (auto& c : bytes) c = static_cast<char>(random());
    CHECK(from_base64(to_base64(bytes)) == bytes);
  }
}

TEST_CASE("base64: what is none is refused") {
  for (const auto* text : {"Z", "Zg", "Zg=", "Zg===", "====", "Zm9=v", "Zm 9", "Zm9\n", "Zm-_", "Zh==", "Zm9="})
    CHECK_FALSE(from_base64(text));
}
