// A folder for a test, and what was refused in it.
#pragma once
#include <antiphon/base/error.h>

#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

#include <catch2/catch_test_macros.hpp>

namespace antiphon::testing {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("antiphon-base-test-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

// The text of Error(weights), "" if nothing is thrown.
inline std::string refusal(const std::function<void()>& body) {
  try {
    body();
    return "";
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    return error.what();
  }
}

}  // namespace antiphon::testing
