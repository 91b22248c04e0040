#include <antiphon/base/gguf.h>

#include <cstring>
#include <functional>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using Catch::Matchers::ContainsSubstring;

namespace {

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
std::string text_of(const std::string& text) { return raw<uint64_t>(text.size()) + text; }
std::string entry_of(const std::string& key, uint32_t type, const std::string& value) {
  return text_of(key) + raw(type) + value;
}
std::string tensor_of(const std::string& name, std::vector<uint64_t> sizes, uint32_t type, uint64_t offset) {
  auto out = text_of(name) + raw(static_cast<uint32_t>(sizes.size()));
  for (const auto size : sizes) out += raw(size);
  return out + raw(type) + raw(offset);
}
std::string file_of(const std::vector<std::string>& entries, const std::vector<std::string>& tensors, size_t data,
                    uint32_t version = 3) {
  auto out = "GGUF" + raw(version) + raw<uint64_t>(tensors.size()) + raw<uint64_t>(entries.size());
  for (const auto& part : entries) out += part;
  for (const auto& part : tensors) out += part;
  out.resize((out.size() + 31) / 32 * 32);
  return out + std::string(data, '\1');
}

const std::string list_of_two = raw<uint32_t>(8) + raw<uint64_t>(2) + text_of("a") + text_of("b");

std::string good_file() {
  return file_of(
      {entry_of("general.architecture", 8, text_of("llama")), entry_of("x.count", 4, raw<uint32_t>(7)),
       entry_of("x.eps", 6, raw(0.5F)), entry_of("x.flag", 7, raw<uint8_t>(1)), entry_of("x.names", 9, list_of_two)},
      {tensor_of("w", {32, 2}, 8, 0), tensor_of("b", {3}, 0, 96)}, 96 + 12);
}

std::string refusal_of(const std::string& bytes) {
  try {
    parse_gguf(bytes, "x.gguf", ErrorKind::weights);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    CHECK_FALSE(error.fix().empty());
    return error.what();
  }
  return "accepted";
}

std::string with_tensors(const std::vector<std::string>& tensors, size_t data) {
  return refusal_of(file_of({}, tensors, data));
}
std::string with_entry(uint32_t type, const std::string& value) {
  return refusal_of(file_of({entry_of("k", type, value)}, {}, 0));
}

}  // namespace

TEST_CASE("GGUF: metadata and tensors come as they are") {
  const auto bytes = good_file();
  const auto content = parse_gguf(bytes, "x.gguf", ErrorKind::weights);
  CHECK(content.metadata["general.architecture"] == "llama");
  CHECK(content.metadata["x.count"] == 7);
  CHECK(content.metadata["x.eps"] == 0.5);
  CHECK(content.metadata["x.flag"] == true);
  CHECK(content.metadata["x.names"] == nlohmann::json({"a", "b"}));
  REQUIRE(content.tensors.size() == 2);
  CHECK(content.tensors[0].shape == std::vector<uint64_t>{2, 32});
  CHECK(content.tensors[0].type == GgmlType::Q8_0);
  CHECK(content.tensors[0].bytes.size() == 68);
  CHECK(content.tensors[1].bytes.size() == 12);
}

TEST_CASE("GGUF: a file that is cut off anywhere is refused") {
  const auto bytes = good_file();
  for (size_t length = 0; length < bytes.size(); ++length) CHECK(refusal_of(bytes.substr(0, length)) != "accepted");
}

TEST_CASE("GGUF: a changed byte never reads outside the file") {
  const auto good = good_file();
  for (size_t i = 0; i < good.size(); ++i)
    for (const char value : {'\x00', '\x7F', '\xFF', '\x09'}) {
      auto bytes = good;
      bytes[i] = value;
      try {
        const auto content = parse_gguf(bytes, "x.gguf", ErrorKind::weights);
        for (const auto& tensor : content.tensors) {
          CHECK(tensor.bytes.data() >= bytes.data());
          CHECK(tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size());
        }
      } catch (const Error&) {
      }
    }
}

TEST_CASE("GGUF: hostile counts, types, texts and places are refused by name") {
  CHECK_THAT(refusal_of("GGML"), ContainsSubstring("not a GGUF file"));
  CHECK_THAT(refusal_of(file_of({}, {}, 0, 1)), ContainsSubstring("version 1"));
  CHECK_THAT(refusal_of("GGUF" + raw<uint32_t>(3) + raw<uint64_t>(UINT64_MAX) + raw<uint64_t>(0)),
             ContainsSubstring("tensors"));
  CHECK_THAT(with_entry(13, raw<uint64_t>(0)), ContainsSubstring("type 13"));
  CHECK_THAT(with_entry(7, raw<uint8_t>(2)), ContainsSubstring("truth value"));
  CHECK_THAT(with_entry(6, raw<uint32_t>(0x7F800000)), ContainsSubstring("not finite"));
  CHECK_THAT(with_entry(8, text_of("\xFF")), ContainsSubstring("not UTF-8"));
  CHECK_THAT(with_entry(8, raw<uint64_t>(1000)), ContainsSubstring("a text of 1000 bytes"));
  CHECK_THAT(with_entry(8, raw<uint64_t>(30)), ContainsSubstring("30 more bytes are needed"));
  CHECK_THAT(with_entry(9, raw<uint32_t>(0) + raw<uint64_t>(UINT64_MAX)), ContainsSubstring("elements"));
  std::string nested;
  for (int i = 0; i < 6; ++i) nested += raw<uint32_t>(9) + raw<uint64_t>(1);
  CHECK_THAT(with_entry(9, nested + raw<uint32_t>(0) + raw<uint64_t>(0)), ContainsSubstring("too deep"));
  const auto twice = entry_of("k", 0, raw<uint8_t>(1));
  CHECK_THAT(refusal_of(file_of({twice, twice}, {}, 0)), ContainsSubstring("there twice"));
  CHECK_THAT(refusal_of(file_of({entry_of("general.alignment", 4, raw<uint32_t>(48))}, {}, 0)),
             ContainsSubstring("alignment"));
  CHECK_THAT(with_tensors({tensor_of("w", {2}, 0, 0), tensor_of("w", {2}, 0, 32)}, 64),
             ContainsSubstring("there twice"));
  CHECK_THAT(with_tensors({tensor_of("w", {2}, 0, 0), tensor_of("v", {9}, 0, 0)}, 64),
             ContainsSubstring("share bytes"));
  CHECK_THAT(with_tensors({tensor_of("w", {2}, 0, 4)}, 64), ContainsSubstring("not aligned"));
  CHECK_THAT(with_tensors({tensor_of("w", {2}, 0, 1 << 20)}, 64), ContainsSubstring("outside the file"));
  CHECK_THAT(with_tensors({tensor_of("w", {2}, 0, UINT64_MAX - 31)}, 64), ContainsSubstring("outside the file"));
  CHECK_THAT(with_tensors({tensor_of("w", {33}, 8, 0)}, 64), ContainsSubstring("whole blocks of 32"));
  CHECK_THAT(with_tensors({tensor_of("w", {1ULL << 40, 1ULL << 40}, 0, 0)}, 64), ContainsSubstring("too large"));
  CHECK_THAT(with_tensors({tensor_of("w", {0}, 0, 0)}, 64), ContainsSubstring("empty"));
  CHECK_THAT(with_tensors({tensor_of("w", {2}, 99, 0)}, 64), ContainsSubstring("type 99"));
  CHECK_THAT(with_tensors({tensor_of("w", {1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0)}, 64), ContainsSubstring("9 dimensions"));
}
