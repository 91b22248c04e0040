#include <antiphon/component/record/record_keys.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/media_names.h>

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
const std::set<std::string> kChangeMeaning{"tools", "functions", "tool_calls", "function_call", "objects", "history"};
constexpr size_t kMostName = 255, kMostPath = 4096;  // bytes of a file's name, and of its path

// What programs that load media do by such a key (qwen-vl-utils, qwen-omni-utils, LLaMA-Factory), and what does it
// here.
const std::map<std::string, const char*>& media_settings() {
  constexpr const char* pixels =
      "set min_pixels and max_pixels of the encoder (of videos video_min_pixels and video_max_pixels), which hold for "
      "all media, or take the key out";
  constexpr const char* frames =
      "set data.video.frames or data.video.frames_per_second, which hold for all videos, or take the key out";
  constexpr const char* piece =
      "cut the video first; of a sound, give its part 'offset' and 'duration'; or take the key out";
  constexpr const char* sound = "set data.video.sound and data.video.interleave, or take the key out";
  static const auto* all =
      new std::map<std::string, const char*>{{"min_pixels", pixels},       {"max_pixels", pixels},
                                             {"total_pixels", pixels},     {"image_min_pixels", pixels},
                                             {"image_max_pixels", pixels}, {"video_min_pixels", pixels},
                                             {"video_max_pixels", pixels}, {"resized_height", pixels},
                                             {"resized_width", pixels},    {"fps", frames},
                                             {"nframes", frames},          {"min_frames", frames},
                                             {"max_frames", frames},       {"video_fps", frames},
                                             {"video_maxlen", frames},     {"video_start", piece},
                                             {"video_end", piece},         {"audio_start", piece},
                                             {"audio_end", piece},         {"use_audio_in_video", sound}};
  return *all;
}

std::vector<std::string> words_of(std::string_view key) {
  std::string spelled;
  for (const char c : key)
    spelled += c == '-' || c == '.' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  auto words = split(spelled, '_');
  for (auto& word : words)
    if (word.size() > 1 && word.back() == 's') word.pop_back();
  return words;
}

bool only_describes(const std::string& key) {
  const auto words = words_of(key);
  return kHarmless.contains(key) || (!words.empty() && kAboutMedia.contains(words.back()));
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
  return text.find('/') != std::string::npos || text.size() > kMostName || (extension >= 2 && extension <= 5);
}

bool may_hold_media(const Json& value) {
  return value.is_string() ? may_be_file(value.get_ref<const std::string&>()) : value.is_structured() && !value.empty();
}

// "data/a.png", whatever its key is; neither an address, nor a text that ends with such a name.
bool is_media_file(const std::string& text) {
  const auto dot = text.rfind('.');
  return text.size() <= kMostPath && dot != std::string::npos && dot > 0 && text[dot - 1] != '/' &&
         text.find_first_of(" \t\r\n") == std::string::npos && text.find("://") == std::string::npos &&
         modality_of_file(text);
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Names of media in the value of a key, without their folders, each with that key.
using Files = std::map<std::string_view, std::string>;

void add_files(const std::string& of, const std::string& key, const Json& value, Files& files) {
  if (only_describes(key)) return;
  if (value.is_string()) {
    if (const auto& name = value.get_ref<const std::string&>(); is_media_file(name)) files.emplace(last_part(name), of);
  } else if (value.is_structured()) {
    for (const auto& [inner, one] : value.items()) add_files(of, value.is_object() ? inner : key, one, files);
  }
}

void remove_files(const Json& value, Files& files) {
  if (value.is_string() && value.get_ref<const std::string&>().size() <= kMostPath)
    files.erase(last_part(value.get_ref<const std::string&>()));
  if (value.is_structured())
    for (const auto& one : value) remove_files(one, files);
}

[[noreturn]] void refuse_media(const std::string& prefix, const std::string& key) {
  fail(ErrorKind::data, fmt::format("the key '{}{}' may name media, but is not one that is read", prefix, shown(key)),
       "name them under 'images', 'audios' or 'videos' (see docs/data.md), or take the key out");
}

// Under whatever key. What a key that is read names, too, by whatever path, is read.
void check_files(const Json& object, const std::set<std::string>& known, const std::string& prefix) {
  Files files;
  for (const auto& [key, value] : object.items())
    if (!known.contains(key)) add_files(key, key, value, files);
  if (files.empty()) return;
  for (const auto& [key, value] : object.items())
    if (known.contains(key)) remove_files(value, files);
  if (!files.empty()) refuse_media(prefix, files.begin()->second);
}

bool says_something(const Json& value) {
  return value.is_string() ? !value.get_ref<const std::string&>().empty() : value.is_structured() && !value.empty();
}

// An answer with "label": false is one that is not to be learnt (TRL's and ms-swift's for KTO).
bool changes_meaning(const std::string& key, const Json& value) {
  return (kChangeMeaning.contains(key) && says_something(value)) || (key == "label" && value == false);
}

// "content: " and "image_url: ": within the part of a medium, where those programs read them; elsewhere they describe.
bool is_of_part(const std::string& prefix) { return prefix == "content: " || prefix.ends_with("_url: "); }

void check_setting(const std::string& key, const Json& value, const std::string& prefix) {
  const auto setting = media_settings().find(key);
  if (setting == media_settings().end() || value.is_null() || !is_of_part(prefix)) return;
  fail(ErrorKind::data,
       fmt::format("the key '{}{}' is {}, which would change how a medium is read, and is not followed", prefix, key,
                   shown(value.dump(), 40)),
       setting->second);
}

}  // namespace

void check_keys(const Json& object, const std::set<std::string>& known, const std::string& prefix,
                std::set<std::string>& unread) {
  for (const auto& [key, value] : object.items()) {
    if (known.contains(key)) continue;
    check_setting(key, value, prefix);
    if (is_about_media(key) && may_hold_media(value)) refuse_media(prefix, key);
    if (changes_meaning(key, value))
      fail(ErrorKind::data,
           fmt::format("the key '{}{}' changes what the sample says or teaches, and is not supported", prefix,
                       shown(key)),
           "write it into the turns, or take the key out");
    const bool told = media_settings().contains(key) || !is_about_media(key);
    if (!value.is_string() && !value.is_null() && !kHarmless.contains(key) && told) unread.insert(prefix + key);
  }
  check_files(object, known, prefix);
}

}  // namespace antiphon::records
