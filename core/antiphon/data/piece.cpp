#include <antiphon/data/piece.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>

#include <algorithm>
#include <cmath>

namespace antiphon::data {
namespace {

constexpr double kRounded = 0.25;  // seconds that a record may say too much

}  // namespace

bool is_piece(const MediaRef& ref) { return ref.begin != 0 || std::isfinite(ref.seconds); }

Audio piece_of(Audio audio, const MediaRef& ref) {
  if (!is_piece(ref)) return audio;
  const auto sample_at = [&](double seconds) {
    const double sample =
        std::round(std::clamp(seconds, 0.0, audio.seconds()) * static_cast<double>(audio.sample_rate));
    return audio.samples.begin() + std::min<int64_t>(static_cast<int64_t>(sample), std::ssize(audio.samples));
  };
  const bool within = ref.begin >= 0 && ref.seconds >= 0;  // false for what is not a number
  const auto begin = sample_at(within ? ref.begin : 0), end = sample_at(within ? ref.begin + ref.seconds : 0);
  if (begin >= end)
    fail(ErrorKind::data, fmt::format("a piece of {} s from {} s on is not within a sound of {:.3f} s", ref.seconds,
                                      ref.begin, audio.seconds()));
  if (std::isfinite(ref.seconds) && ref.begin + ref.seconds > audio.seconds() + kRounded)
    fail(ErrorKind::data,
         fmt::format("the record has a piece up to {:.3f} s, and the sound ends at {:.3f} s: the file is cut short, or "
                     "it is another one",
                     ref.begin + ref.seconds, audio.seconds()));
  return {audio.sample_rate, {begin, end}};
}

std::optional<int64_t> channel_of(const MediaRef& ref, std::optional<int64_t> otherwise) {
  return ref.channel ? ref.channel : otherwise;
}

std::string content_of(std::string_view bytes, const MediaRef& ref, std::optional<int64_t> channel) {
  auto content = content_hash(bytes);
  if (is_piece(ref)) content = content_hash(fmt::format("{} {} {}", content, ref.begin, ref.seconds));
  if (ref.modality == Modality::audio && channel)
    content = content_hash(fmt::format("{} channel {}", content, *channel));
  return content;
}

}  // namespace antiphon::data
