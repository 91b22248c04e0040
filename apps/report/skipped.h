// The samples that a training left out.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace antiphon::apps::report {

// Out of bad_samples.jsonl: {"count", "broken", "groups": [{"reason", "count", "lines": [{"place", "reason"}, …]}, …]},
// the largest group first. Reasons that differ in names and numbers alone are one; of each, the first lines are kept.
nlohmann::json skipped_samples(const std::filesystem::path& file);

}  // namespace antiphon::apps::report
