// What `antiphon data stats` says: how tokens, lengths and sizes are spread.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <data/check.h>

namespace antiphon::apps {

// {"sources": [{"set", "path", "samples", "bad", "left_out", "tokens": HISTOGRAM, "supervised_share": HISTOGRAM,
// "seconds": HISTOGRAM, "width": HISTOGRAM, "height": HISTOGRAM}]}: of samples that are good and not left out.
// Tokens are null of a file alone, which no tokenizer reads.
nlohmann::json stats_of(const std::vector<SourceFindings>& findings);
// The same on stdout.
void print_stats(const nlohmann::json& stats);

}  // namespace antiphon::apps
