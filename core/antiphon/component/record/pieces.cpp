#include <antiphon/component/record/pieces.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

namespace antiphon::records {
namespace {

const std::vector<std::string> kBegins{"offset", "start", "audio_start"}, kEnds{"end", "audio_end"};
constexpr const char* kLength = "duration";
constexpr double kRounded = 0.01;  // seconds by which a length and an end may differ

// Under the one of these keys that the object has.
std::optional<double> told(const Json& object, const std::vector<std::string>& keys, size_t k, size_t count) {
  std::optional<double> seconds;
  for (const auto& key : keys) {
    const auto value = value_at(object, key, k, count);
    if (value.is_null()) continue;
    if (seconds)
      fail(ErrorKind::data, fmt::format("a piece of a sound has '{}' and another key for the same", key),
           "keep one of offset, start and audio_start, and one of end and audio_end");
    seconds = seconds_in(value, key, 0);
  }
  return seconds;
}

}  // namespace

Json value_at(const Json& object, const std::string& key, size_t k, size_t count) {
  const auto it = object.find(key);
  if (it == object.end()) return nullptr;
  if (!it->is_array()) return *it;
  if (it->size() != count)
    fail(ErrorKind::data, fmt::format("'{}' lists {} times for {} recordings", key, it->size(), count));
  return (*it)[k];
}

double seconds_in(const Json& value, const std::string& key, double otherwise) {
  if (value.is_null()) return otherwise;
  const double seconds = value.is_number() ? value.get<double>() : std::nan("");
  if (std::isfinite(seconds) && seconds >= 0) return seconds;
  fail(ErrorKind::data, fmt::format("'{}' is not a time", key), "give seconds, as a number of 0 or more");
}

std::set<std::string> piece_keys() {
  std::set<std::string> keys{kLength};
  keys.insert(kBegins.begin(), kBegins.end()), keys.insert(kEnds.begin(), kEnds.end());
  return keys;
}

void read_piece(const Json& object, size_t k, size_t count, MediaRef& ref) {
  const auto begin = told(object, kBegins, k, count), end = told(object, kEnds, k, count);
  if (!begin && !end) return;
  const auto length = told(object, {kLength}, k, count);
  ref.begin = begin.value_or(0);
  if (length) ref.seconds = *length;
  if (!end) return;
  const double rest = *end - ref.begin;
  if (rest <= 0)
    fail(ErrorKind::data, fmt::format("a piece of a sound begins at {} s and ends at {} s", ref.begin, *end),
         "give an end after the beginning");
  if (length && std::abs(rest - *length) > kRounded)
    fail(ErrorKind::data,
         fmt::format("a piece of a sound goes from {} s to {} s, and its 'duration' is {} s", ref.begin, *end, *length),
         "keep the end or the duration");
  ref.seconds = rest;
}

void read_pieces(const Json& object, Sample& sample) {
  const auto is_sound = [](const MediaRef& ref) { return ref.modality == Modality::audio; };
  const auto sounds = static_cast<size_t>(std::ranges::count_if(sample.media, is_sound));
  size_t k = 0;
  for (auto& ref : sample.media)
    if (is_sound(ref)) read_piece(object, k++, sounds, ref);
  if (sounds > 0) return;
  if (std::ranges::count(sample.media, Modality::video, &MediaRef::modality) > 0) check_whole_video(object);
  for (const auto& key : piece_keys())
    if (key != kLength && object.contains(key)) sample.unread.insert(key);
}

void check_whole_video(const Json& object) {
  for (const auto* keys : {&kBegins, &kEnds})
    for (const auto& key : *keys)
      if (object.contains(key) && !object.at(key).is_null())
        fail(ErrorKind::data, fmt::format("'{}' names a piece of a video, and videos are taken whole", key),
             "cut the video first, or take the key out");
}

}  // namespace antiphon::records
