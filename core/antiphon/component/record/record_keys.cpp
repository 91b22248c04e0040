#include <antiphon/component/record/record_keys.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon::records {
namespace {

// Words of keys under which data sets keep media, without a final s.
const std::set<std::string> kMediaWords{"image",  "img", "picture",  "pic",       "photo", "pixel", "audio", "sound",
                                        "speech", "wav", "waveform", "recording", "video", "frame", "movie", "media"};
// Last words of keys that say something about media without naming any: image_width, audio_duration.
const std::set<std::string> kAboutMedia{"id",     "width",    "height", "size",    "shape",   "duration",   "length",
                                        "second", "num",      "count",  "type",    "format",  "rate",       "caption",
                                        "text",   "category", "source", "license", "quality", "description"};
const std::set<std::string> kHarmless{"id", "index", "idx", "duration", "width", "height", "score", "tags", "metadata"};
const std::set<std::string> kChangeMeaning{"tools", "functions", "tool_calls", "function_call", "objects"};

std::vector<std::string> words_of(std::string_view key) {
  std::string spelled;
  for (const char c : key)
    spelled += c == '-' || c == '.' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  auto words = split(spelled, '_');
  for (auto& word : words)
    if (word.size() > 1 && word.back() == 's') word.pop_back();
  return words;
}

bool is_about_media(const std::string& key) {
  const auto words = words_of(key);
  return std::ranges::any_of(words, [](const auto& word) { return kMediaWords.contains(word); }) &&
         !kAboutMedia.contains(words.back());
}

// Whether the text may be a file: "a.png", "data/a" and the bytes of a file may, a word such as "street" may not.
bool may_be_file(const std::string& text) {
  const auto dot = text.rfind('.');
  const auto extension = dot == std::string::npos ? 0 : text.size() - dot - 1;
  return text.find('/') != std::string::npos || text.size() > 255 || (extension >= 2 && extension <= 5);
}

bool may_hold_media(const Json& value) {
  return value.is_string() ? may_be_file(value.get_ref<const std::string&>()) : value.is_structured() && !value.empty();
}

bool says_something(const Json& value) {
  return value.is_string() ? !value.get_ref<const std::string&>().empty() : value.is_structured() && !value.empty();
}

}  // namespace

void check_keys(const Json& object, const std::set<std::string>& known, const std::string& prefix,
                std::set<std::string>& unread) {
  for (const auto& [key, value] : object.items()) {
    if (known.contains(key)) continue;
    if (is_about_media(key) && may_hold_media(value))
      fail(ErrorKind::data,
           fmt::format("the key '{}{}' may name media, but is not one that is read", prefix, shown(key)),
           "name them under 'images', 'audios' or 'videos' (see docs/data.md), or take the key out");
    if (kChangeMeaning.contains(key) && says_something(value))
      fail(ErrorKind::data,
           fmt::format("the key '{}{}' changes what the sample says, and is not supported", prefix, shown(key)),
           "write it into the turns, or take the key out");
    if (!value.is_string() && !value.is_null() && !kHarmless.contains(key) && !is_about_media(key))
      unread.insert(prefix + key);
  }
}

}  // namespace antiphon::records
