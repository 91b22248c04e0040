// Prepares a chat template for the engine.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::text {

// The template with its white space handled as Jinja does with trim_blocks, lstrip_blocks and without
// keep_trailing_newline, so that the engine need not: signs (`{%-`, `+%}`) are taken out, comments emptied.
// Config error where it is larger than 256 KiB, or nested or dense enough to exhaust the engine, whose parser is
// recursive.
std::string prepared_template(std::string_view source);

}  // namespace antiphon::text
