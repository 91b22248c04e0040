// The scores of an evaluation as a person reads them.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace antiphon::apps {

// run::Evaluation's scores of a set as a table on stdout.
void print_scores(const nlohmann::json& set);

}  // namespace antiphon::apps
