// What a chat template must satisfy before the engine reads it.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::text {

// The template with emptied comments. Config error where it is too large, or nested, or dense enough to exhaust the
// engine, whose parser is recursive.
std::string checked_template(std::string_view source);

}  // namespace antiphon::text
