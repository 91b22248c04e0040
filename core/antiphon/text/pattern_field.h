// The field "pattern" of a Split or Replace: {"Regex": "…"} or {"String": "…"}.
#pragma once
#include <antiphon/text/json_fields.h>
#include <antiphon/text/pattern.h>

namespace antiphon::text {

Pattern pattern_field(const JsonFields& fields);

}  // namespace antiphon::text
