// Folders that Energon has prepared: which shards are whose part, and what the members of a sample mean.
#pragma once
#include <filesystem>
#include <vector>

#include "record.h"

namespace antiphon::webdataset {

struct Prepared {
  std::vector<std::filesystem::path> shards;
  Fields fields;
};

bool is_prepared(const std::filesystem::path& folder);
// Reads .nv-meta/dataset.yaml and split.yaml. `part`: "train", "val", … Error(data) if there is no such part, or if the
// description names code of its own, which is not run.
Prepared read_prepared(const std::filesystem::path& folder, const std::string& part);

}  // namespace antiphon::webdataset
