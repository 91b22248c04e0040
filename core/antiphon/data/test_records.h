// For tests: records through the door, one by one or as a file.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include <antiphon/base/error.h>
#include <antiphon/data/record_reader.h>
#include <antiphon/data/record_set.h>
#include <catch2/catch_test_macros.hpp>

namespace antiphon::data::testing {

inline SourceOptions source_of(const std::filesystem::path& path, const std::string& source = "auto",
                               const std::string& format = "auto") {
  SourceOptions options;
  options.path = path, options.source = source, options.format = format;
  return options;
}

// A record as training reads it; `candidates` as the objective compares.
inline Sample parse_sample(std::string_view record, const std::filesystem::path& folder,
                           const std::string& format = "auto", int64_t candidates = 1) {
  static std::map<std::pair<std::string, int64_t>, RecordReader> readers;
  const auto& reader =
      readers.try_emplace({format, candidates}, source_of({}, "auto", format), candidates).first->second;
  return reader.read({std::string(record)}, folder);
}

// Why it is bad; empty if it is not.
inline std::string refused_as(const std::string& record, const std::string& format = "auto") {
  try {
    parse_sample(record, "/d", format);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

inline bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace antiphon::data::testing
