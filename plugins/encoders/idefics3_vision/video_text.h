// What SmolVLM2's processor writes for a video (transformers: models/smolvlm/processing_smolvlm.py).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace antiphon::idefics3_vision {

// "You are provided the following series of three frames from a 0:00:05 [H:MM:SS] video.\n"; parts of a second are cut.
std::string video_begin(size_t frames, double seconds);
// "\nFrame from 00:02:"
std::string frame_text(double seconds);
std::string video_end();

// In English, of at most six digits, as num2words writes it: "one thousand, two hundred and thirty-four".
std::string in_words(int64_t number);

}  // namespace antiphon::idefics3_vision
