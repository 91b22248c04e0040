// A sample as a record in the layout `messages`, whatever layout it came from.
#pragma once
#include <functional>
#include <string>

#include <antiphon/component/sample.h>
#include <nlohmann/json.hpp>

namespace antiphon::apps {

// `name_of` says how the record calls medium `index` of the sample. Error(data) for what the layout cannot hold: pieces
// of recordings.
using MediaName = std::function<std::string(size_t index)>;
nlohmann::ordered_json to_record(const Sample& sample, const MediaName& name_of);

}  // namespace antiphon::apps
