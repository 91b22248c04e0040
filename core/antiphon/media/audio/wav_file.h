// Audio as a file that every player knows.
#pragma once
#include <string>

#include <antiphon/component/media_item.h>

namespace antiphon::media {

// The bytes of a WAV file: 16-bit PCM, mono, at the sound's own rate. Values outside [-1, 1] are cut off.
std::string wav_file(const Audio& audio);
// The same as 32-bit floating point: every value as it is, also outside [-1, 1].
std::string float_wav_file(const Audio& audio);

}  // namespace antiphon::media
