// Pieces of sounds, as records name them: from where on, how long or up to where, in seconds.
#pragma once
#include <set>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/sample.h>

namespace antiphon::records {

using Json = nlohmann::ordered_json;

// The k-th of the `count` values under the key, or the one that holds for all; null if there is none. Error(data) for a
// list of another length.
Json value_at(const Json& object, const std::string& key, size_t k, size_t count);
// The value, or `otherwise` if it is null. Error(data) that names the key for anything but a number of 0 or more.
double seconds_in(const Json& value, const std::string& key, double otherwise);

// The keys that read_piece() takes.
std::set<std::string> piece_keys();
// Sets the piece of the k-th of `count` sounds that an object means: from "offset" (or "start", or qwen-omni-utils'
// "audio_start") on, "duration" long or up to "end" ("audio_end"). A "duration" alone describes a sound, and names no
// piece. Error(data) for a value that is not a time, and for keys that do not go together.
void read_piece(const Json& object, size_t k, size_t count, MediaRef& ref);
// The same for all sounds of a sample, in their order. Of a sample without sounds the keys but "duration" are noted as
// unread.
void read_pieces(const Json& object, Sample& sample);
// Error(data) if the object names a piece of its video: videos are taken whole.
void check_whole_video(const Json& object);

}  // namespace antiphon::records
