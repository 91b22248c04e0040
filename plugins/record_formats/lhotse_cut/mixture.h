// Sounds over each other, as Lhotse's MixedCut and MultiCut are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/component/media_bytes.h>

namespace antiphon::lhotse_cut {

struct Channel {
  MediaBytes bytes;
  std::optional<int64_t> channel;  // by its place in the file; nothing: the file has one
};

// `seconds` of the sum of the channels, from `begin` on; of none: silence. In the mixture from `offset` on, `snr` dB
// below the reference if that is set.
struct Track {
  std::vector<Channel> channels;
  double begin = 0, seconds = 0, offset = 0;
  std::optional<double> snr = {};
  bool is_heard = true;
};

struct Mixture {
  int64_t sample_rate = 0;
  std::vector<Track> tracks;  // one is heard
  size_t reference = 0;
};

// The mixture as a mono WAV file, made when it is read: the samples that Lhotse's MixedCut.to_mono() computes (cut/
// mixed.py, audio/mixer.py), before it writes them with 16 bits. `name` has no extension. Error(data) for a rate or a
// length beyond the decoders' limits; when it is read, for recordings that end 25 ms before their piece does.
MediaBytes mixed(Mixture mixture, const std::string& name);

}  // namespace antiphon::lhotse_cut
