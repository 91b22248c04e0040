// Keys of a record that are not read: refused if they may change what the sample says, else noted.
#pragma once
#include <set>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::records {

using Json = nlohmann::ordered_json;

// Error(data) if a key of `object` other than `known` may name media (a path, or a list under "img", "sounds",
// "video_path", …; under any key the name of a file with the extension of a medium, unless a known key names that file,
// too), would, in the part of a medium, change how it is read ("max_pixels", "fps"), or changes what a sample means
// ("tools", "history") or teaches ("label": false). Other keys, except those with a string value (these are tags), are
// added to `unread` as
// "<prefix>KEY".
void check_keys(const Json& object, const std::set<std::string>& known, const std::string& prefix,
                std::set<std::string>& unread);

}  // namespace antiphon::records
