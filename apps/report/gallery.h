// The samples that a page shows, with their answers and media.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <report/run_data.h>

namespace antiphon::apps::report {

struct GalleryOptions {
  int64_t samples = 60;             // of each set, at most
  uint64_t media_bytes = 14 << 20;  // of all embedded media
};

// {"sets": [{"name", "shown", "total"}], "assets": ["data:…", …], "samples": [{"set", "id", "task", "tags", "place",
// "question", "note", "expected", "media": [as MediaEmbedder::add], "runs": [{"predicted", "right", "losses"} or null,
// …]}]}. Samples of two runs are joined by set and id. If a set has more than `samples`, they are drawn in turn from
// each task's right and wrong ones, in an order that depends on nothing but their ids.
nlohmann::json gallery(std::vector<RunData>& runs, const GalleryOptions& options);

}  // namespace antiphon::apps::report
