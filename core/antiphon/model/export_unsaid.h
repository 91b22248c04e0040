// What the directory of a whole model does not say of the model that was written there.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

// The options in force that the directory, read alone, gives another value: "model.llm.media_see_all = false, and true
// by the directory".
std::vector<std::string> left_unsaid(MultimodalLm& model, const std::filesystem::path& directory);

}  // namespace antiphon::model
