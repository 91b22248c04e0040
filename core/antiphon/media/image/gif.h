// GIF images: the first frame, as Pillow shows it. Internal: included by the .cpp files of this folder only.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <antiphon/component/media_item.h>
#include <antiphon/media/limits.h>

namespace antiphon::media {

// Source: GIF89a. Areas outside the frame have the transparent colour, else colour 0; a frame larger than the screen
// widens it. `transparent`: pixels of the transparent colour become white. Error(data) if it is damaged, cut short or
// beyond the limits.
Image decode_gif(std::string_view bytes, bool transparent_is_white, const MediaLimits& limits);

}  // namespace antiphon::media
