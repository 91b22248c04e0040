// For tests: what is said of a line of records that is not read.
#pragma once
#include <antiphon/base/error.h>
#include <antiphon/data/test_records.h>

namespace antiphon::data::testing {

// The Error(data) of a line, or "" if it is read.
inline std::string why_not(std::string_view line) {
  try {
    parse_sample(line, "/data");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK_FALSE(error.message().empty());
    return error.message();
  }
  return {};
}

// What it says helps.
inline std::string advice(std::string_view line) {
  try {
    parse_sample(line, "/data");
  } catch (const Error& error) {
    return error.fix();
  }
  return {};
}

// A question, an answer, and what stands beside them.
inline std::string messages_with(const std::string& content, const std::string& rest) {
  return R"({"messages": [{"role": "user", "content": )" + content +
         R"(}, {"role": "assistant", "content": "An <image>"}])" + rest + "}";
}

// The parts of the first turn: texts, and paths in brackets.
inline std::string parts_of(const std::string& line) {
  const auto sample = parse_sample(line, "/d");
  std::string out;
  for (const auto& part : sample.turns.at(0).parts)
    out += part.media < 0 ? part.text : "[" + sample.media.at(static_cast<size_t>(part.media)).bytes.name() + "]";
  return out;
}

}  // namespace antiphon::data::testing
