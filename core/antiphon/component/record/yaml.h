// YAML files that come with data and models, read by libyaml.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/base/error.h>

namespace antiphon::records {

// The text's only document as JSON, by the core schema of YAML 1.2: plain values that are written as null, numbers,
// true or false are these, all others texts. An empty text is an empty object. Error(kind) that names `name` and the
// line: more than 16 MiB, 64 levels or a million values, no UTF-8, tags and
// aliases, a key that stands twice or is not text.
nlohmann::json parse_yaml(std::string_view text, const std::string& name, ErrorKind kind);

}  // namespace antiphon::records
