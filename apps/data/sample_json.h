// A sample as a record in the layout `messages`, whatever layout it came from.
#pragma once
#include <string>

#include <data/layouts.h>

namespace antiphon::apps {

// Error(data) for pieces and single channels of recordings, which `layout` cannot name.
void check_whole(const Sample& sample, const char* layout = "messages");
// Error(data) as of check_whole().
nlohmann::ordered_json to_record(const Sample& sample, const MediaName& name_of);
// All that a sample says, pieces and channels of recordings too; media as their numbers.
std::string said_by(const Sample& sample);

}  // namespace antiphon::apps
