// The samples that a training run skipped.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace antiphon::apps::report {

// From bad_samples.jsonl: {"count", "broken", "groups": [{"reason", "count", "lines": [{"place", "reason"}, …]}, …]},
// the largest group first. Reasons that differ only in names and numbers count as one; of each, the first lines are
// kept.
nlohmann::json skipped_samples(const std::filesystem::path& file);

}  // namespace antiphon::apps::report
