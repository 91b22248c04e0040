// Whether a value is what a JSON Schema asks for (json-schema.org, draft 2020-12).
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace antiphon::eval {

// All keywords that assert something about a value, `$ref` to a place within the schema among them. Passed over, as by
// other validators unless they are told otherwise: `format`, content…, and what only describes. Not known:
// unevaluatedItems, unevaluatedProperties, `$dynamicRef`, references by `$id` or `$anchor`. Nothing conforms to a
// reference that leads nowhere, to a pattern that is not a regular expression, beyond 128 levels, or after
// 100,000 steps.
bool conforms(const nlohmann::json& value, const nlohmann::json& schema);

}  // namespace antiphon::eval
