// What a WAV file says about its own length. Internal: included by the .cpp files of this folder only.
#pragma once
#include <string_view>

namespace antiphon::media {

// Error(data) where a RIFF WAVE file holds fewer bytes of sound than its data chunk declares. Lengths that recorders
// write before they know the real one (0, and 0x7ffff000 or more) declare nothing. Other files pass.
void check_wav_length(std::string_view bytes);

}  // namespace antiphon::media
