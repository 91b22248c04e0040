// Shared by the tests of this folder.
#pragma once
#include <filesystem>
#include <string>

#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>

namespace antiphon::media {

inline std::string fixture(const std::string& name) {
  return read_file(std::filesystem::path(ANTIPHON_SOURCE_DIR) / "tests/media" / name, ErrorKind::data);
}

// The message of the Error(data) that `body` throws; "" if it throws none.
template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

inline bool says(const std::string& message, std::string_view part) {
  INFO("message: " << message);
  return message.find(part) != std::string::npos;
}

}  // namespace antiphon::media
