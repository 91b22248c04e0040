// What a person wants to see of a sample: its question and its media files.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include <antiphon/component/sample.h>

namespace antiphon::run {

// The text of the user turns, one per line.
std::string question_of(const Sample& sample);

// [{"type": "image", "path": absolute}, …] in the order of the conversation; "name" in place of "path" if it is
// not a file.
nlohmann::json media_files_of(const Sample& sample);

}  // namespace antiphon::run
