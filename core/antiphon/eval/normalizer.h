// What exact match, F1, WER and CER compare.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/eval/options.h>
#include <antiphon/text/english.h>

namespace antiphon::eval {

// "jiwer": lower case, no punctuation, single spaces (text::without_punctuation); "whisper" and "whisper_english":
// Whisper's normalizers (text::whisper_basic, text::whisper_english).
std::string normalize_answer(std::string_view text, std::string_view normalizer = "jiwer",
                             const text::Spellings& spellings = {});

// For whisper_english: those of options.spelling, else of the first normalizer.json in `folders`; none otherwise, and
// that is said. Error(config) if a file that is named is not there, or is not a JSON table of texts.
text::Spellings read_spellings(const EvalOptions& options, const std::vector<std::filesystem::path>& folders);

}  // namespace antiphon::eval
