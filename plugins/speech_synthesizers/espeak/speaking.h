// One text, said by espeak-ng in a process of its own: the library keeps state from text to text, so that what it says
// would depend on what it said before, and a text that it crashes or hangs on must not end the program.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace antiphon::espeak {

struct Voice {
  std::string name = "en";               // of `espeak-ng --voices`, with a variant: "en-us+f3"
  int64_t words_per_minute = 175;        // espeakRATE
  int64_t pitch = 50, pitch_range = 50;  // espeakPITCH, espeakRANGE: 0 to 100
};

struct Spoken {
  int64_t sample_rate = 0;
  std::vector<int16_t> samples;
};

// Error(config) if there is no such voice; Error(data) if the library ends badly or takes more than a minute.
Spoken spoken(const std::string& text, const Voice& voice);

}  // namespace antiphon::espeak
