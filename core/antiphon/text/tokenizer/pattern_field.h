// The field "pattern" of a Split or Replace: {"Regex": "…"} or {"String": "…"}.
#pragma once
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/pattern.h>

namespace antiphon::text {

Pattern pattern_field(const JsonFields& fields);

}  // namespace antiphon::text
