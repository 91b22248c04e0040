// The tables of one or two evaluations, row by row.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace antiphon::apps::report {

// `results` holds eval/results.json of each run. A list of sets:
//   {"set", "samples": [n or null, …], "skipped": […], "rows": [{"task", "media", "samples": […],
//    "metrics": {"loss": [{"mean", "low", "high"} or null, …], …},
//    "versus": [{"mean", "p"} or null, …]}]}          versus: rise of the loss over the right media
// Lists have one member per run; null if a run lacks it.
nlohmann::json evaluation_tables(const std::vector<const nlohmann::json*>& results);

}  // namespace antiphon::apps::report
