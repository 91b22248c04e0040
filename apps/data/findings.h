// What `antiphon data check` found, as a person reads it and as JSON.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <data/check.h>

namespace antiphon::apps {

// {"sources": [{"set", "path", "samples", "bad", "same_ids", "tokens": {"min", …}, "unread_keys": {KEY: samples},
// "left_out": {REASON: samples}, "media": {STREAM: {…}}}],
//  "reasons": [{"reason", "count", "places", "example"}], "leaks": […], "samples", "bad"}.
nlohmann::json to_json(const std::vector<SourceFindings>& findings);

// The same on stdout.
void print_findings(const nlohmann::json& findings);

}  // namespace antiphon::apps
