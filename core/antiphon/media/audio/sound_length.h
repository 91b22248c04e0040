// The audio length that a file declares, as opposed to what its decoder gives: encoders pad the last packet. Internal:
// included by the .cpp files of this folder only.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace antiphon::media {

struct SoundLength {
  int64_t ticks = 0, rate = 0;  // ticks / rate seconds
  int64_t samples(int64_t sample_rate) const;
};

// Error(data) if a RIFF WAVE file holds fewer bytes of audio than its data chunk declares. Lengths that recorders
// write before they know the real one (0, and 0x7ffff000 or more) count as undeclared. Other files pass.
void check_wav_length(std::string_view bytes);

// For Vorbis and Opus in Ogg (RFC 3533, RFC 7845): the granule position of the last page, less Opus' pre-skip. Nothing
// if another stream begins in the file or no page has a position.
std::optional<SoundLength> ogg_sound_length(std::string_view bytes);

// For a track of an MP4 or QuickTime file (ISO/IEC 14496-12, 8.4.2 and 8.6.6): what is left of the media after the
// start of the edit, and no more than the edit. Nothing for fragments and for edit lists of more than one stretch.
std::optional<SoundLength> mp4_sound_length(std::string_view bytes, uint32_t track);

// From Apple's gapless note " 00000000 DELAY PADDING LENGTH …", hexadecimal.
std::optional<SoundLength> itunes_sound_length(std::string_view note, int64_t sample_rate);

}  // namespace antiphon::media
