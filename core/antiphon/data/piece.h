// A piece of a sound, which a record may name in place of the whole.
#pragma once
#include <string>
#include <string_view>

#include <antiphon/component/sample.h>

namespace antiphon::data {

bool is_piece(const MediaRef& ref);
// The samples of the piece. Error(data) if none of it lies within the sound.
Audio piece_of(Audio audio, const MediaRef& ref);
// content_hash() of the file, and of the piece if it is one.
std::string content_of(std::string_view bytes, const MediaRef& ref);

}  // namespace antiphon::data
