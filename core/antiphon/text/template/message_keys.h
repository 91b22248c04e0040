// Which keys of messages a chat template reads, by the look of its source.
#pragma once
#include <string_view>

namespace antiphon::text {

// By the name that a loop over messages gives to each: message.key, message['key'], message.get('key') or 'key' in
// message. What is read by other ways is not found.
bool reads_of_messages(std::string_view source, std::string_view key);

}  // namespace antiphon::text
