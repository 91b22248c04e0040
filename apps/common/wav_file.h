// Audio as a file that every player knows.
#pragma once
#include <string>

#include <antiphon/component/media_item.h>

namespace antiphon::apps {

// The bytes of a WAV file: 16-bit PCM, mono, at the sound's own rate.
std::string wav_file(const Audio& audio);

}  // namespace antiphon::apps
