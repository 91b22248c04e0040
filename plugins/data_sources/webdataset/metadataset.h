// Metadatasets of Energon: files that name several sets and how often each comes, which is the configuration's business
// here.
#pragma once
#include <string>

#include <antiphon/component/data_source.h>

namespace antiphon::webdataset {

bool is_metadataset(const FileStart& start);
// Error(data), which says what to write in the configuration in its place: the very setting if it is one plain list.
[[noreturn]] void refuse_metadataset(const std::filesystem::path& file, const std::string& part);

}  // namespace antiphon::webdataset
