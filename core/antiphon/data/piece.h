// A piece of a sound, or one of its channels, which a record may name in place of the whole.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include <antiphon/component/sample.h>

namespace antiphon::data {

bool is_piece(const MediaRef& ref);
// The samples of the piece. Error(data) if none of it lies within the sound, or if it ends a quarter of a second after
// it.
Audio piece_of(Audio audio, const MediaRef& ref);
// The channel of a sound that is heard: the record's, else `otherwise`; nothing: the mean of all.
std::optional<int64_t> channel_of(const MediaRef& ref, std::optional<int64_t> otherwise);
// content_hash() of the file, and of the piece and the channel if one is meant.
std::string content_of(std::string_view bytes, const MediaRef& ref, std::optional<int64_t> channel);

}  // namespace antiphon::data
