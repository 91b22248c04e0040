#include <antiphon/media/audio/sound_length.h>

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <antiphon/media/byte_reader.h>

namespace antiphon::media {
namespace {

constexpr uint32_t kUnknownFrom = 0x7ffff000;

int64_t number_at(std::string_view bytes, size_t at, size_t count) {
  return static_cast<int64_t>(big_endian(bytes, at, count));
}

}  // namespace

int64_t SoundLength::samples(int64_t sample_rate) const {
  return std::llround(static_cast<double>(ticks) * static_cast<double>(sample_rate) / static_cast<double>(rate));
}

void check_wav_length(std::string_view bytes) {
  if (bytes.size() < 12 || !bytes.starts_with("RIFF") || bytes.substr(8, 4) != "WAVE") return;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const uint64_t declared = little_endian(bytes, at + 4, 4), left = bytes.size() - at - 8;
    if (bytes.substr(at, 4) == "data") {
      if (declared > left && declared < kUnknownFrom)
        fail(ErrorKind::data, fmt::format("the WAV is cut short: {} of {} bytes of sound are there", left, declared));
      return;
    }
    if (declared > left) return;
    at += 8 + declared + (declared & 1);
  }
}

std::optional<SoundLength> ogg_sound_length(std::string_view bytes) {
  SoundLength length;
  int64_t skip = 0, streams = 0;
  constexpr size_t fixed = 27;
  for (size_t at = 0; at + fixed <= bytes.size() && bytes.substr(at, 4) == "OggS";) {
    const size_t segments = big_endian(bytes, at + 26, 1), content = at + fixed + segments;
    if (content > bytes.size()) break;
    size_t size = 0;
    for (size_t i = 0; i < segments; ++i) size += static_cast<uint8_t>(bytes[at + fixed + i]);
    const std::string_view page = bytes.substr(content, size);
    if (constexpr int begins = 2; big_endian(bytes, at + 5, 1) & begins) {
      if (++streams > 1) return std::nullopt;
      if (page.starts_with("\1vorbis") && page.size() >= 16)
        length.rate = static_cast<int64_t>(little_endian(page, 12, 4));
      if (page.starts_with("OpusHead") && page.size() >= 12)
        length.rate = 48000, skip = static_cast<int64_t>(little_endian(page, 10, 2));
    }
    const auto position = static_cast<int64_t>(little_endian(bytes, at + 6, 8));
    if (position > 0) length.ticks = position;  // -1: no packet ends on this page
    at = content + size;
  }
  length.ticks -= skip;
  return length.rate > 0 && length.ticks > 0 ? std::optional(length) : std::nullopt;
}

std::optional<SoundLength> itunes_sound_length(std::string_view note, int64_t sample_rate) {
  int64_t values[4] = {};
  for (auto& value : values) {
    note.remove_prefix(std::min(note.find_first_not_of(' '), note.size()));
    const auto [end, error] = std::from_chars(note.data(), note.data() + note.size(), value, 16);
    if (error != std::errc()) return std::nullopt;
    note.remove_prefix(static_cast<size_t>(end - note.data()));
  }
  return values[3] > 0 && sample_rate > 0 ? std::optional(SoundLength{values[3], sample_rate}) : std::nullopt;
}

namespace {

// The content of the first box of this name among the consecutive ones in `boxes`.
std::optional<std::string_view> box_in(std::string_view boxes, std::string_view name, size_t number = 0) {
  for (size_t at = 0; at + 8 <= boxes.size();) {
    uint64_t size = big_endian(boxes, at, 4);
    size_t header = 8;
    if (size == 1 && at + 16 <= boxes.size()) size = big_endian(boxes, at + 8, 8), header = 16;
    if (size == 0) size = boxes.size() - at;
    if (size < header || size > boxes.size() - at) return std::nullopt;
    if (boxes.substr(at + 4, 4) == name && number-- == 0) return boxes.substr(at + header, size - header);
    at += size;
  }
  return std::nullopt;
}

// Boxes have fields of 32 bits in version 0 and of 64 in version 1.
struct Version {
  size_t wide;
  explicit Version(std::string_view box) : wide(big_endian(box, 0, 1) == 1 ? 8 : 4) {}
};

// Time scale and duration, at the same place in mvhd and mdhd.
SoundLength clock_of(std::string_view box) {
  const size_t wide = Version(box).wide, at = 4 + 2 * wide;
  return {number_at(box, at + 4, wide), number_at(box, at, 4)};
}

struct Edit {
  int64_t duration = 0, start = 0;
};

// The one edit of a track that plays anything; the empty one before it only delays.
std::optional<Edit> edit_of(std::string_view list) {
  const size_t wide = Version(list).wide;
  const int64_t count = number_at(list, 4, 4);
  std::optional<Edit> found;
  for (int64_t i = 0; i < std::min<int64_t>(count, 3); ++i) {
    const size_t at = 8 + static_cast<size_t>(i) * (2 * wide + 4);
    const Edit edit{number_at(list, at, wide),
                    wide == 8 ? number_at(list, at + 8, 8) : static_cast<int32_t>(number_at(list, at + 4, 4))};
    if (edit.start < 0) continue;
    if (found) return std::nullopt;
    found = edit;
  }
  return count <= 3 ? found : std::nullopt;
}

std::optional<SoundLength> length_of_track(std::string_view track, int64_t movie_rate) {
  const auto media = box_in(track, "mdia"), edits = box_in(track, "edts");
  const auto header = media ? box_in(*media, "mdhd") : std::nullopt;
  const auto list = edits ? box_in(*edits, "elst") : std::nullopt;
  const auto edit = list ? edit_of(*list) : std::nullopt;
  if (!header || !edit || movie_rate <= 0) return std::nullopt;
  SoundLength length = clock_of(*header);
  if (length.rate <= 0 || length.ticks <= edit->start) return std::nullopt;
  length.ticks -= edit->start;
  // In units of the movie time scale, often milliseconds: an excess of less than one unit is only rounding.
  const auto shown = [&](int64_t duration) {
    return static_cast<double>(duration) * static_cast<double>(length.rate) / static_cast<double>(movie_rate);
  };
  if (edit->duration > 0 && shown(edit->duration + 1) < static_cast<double>(length.ticks))
    length.ticks = static_cast<int64_t>(std::ceil(shown(edit->duration)));
  return length;
}

}  // namespace

std::optional<SoundLength> mp4_sound_length(std::string_view bytes, uint32_t track) {
  const auto movie = box_in(bytes, "moov");
  const auto header = movie ? box_in(*movie, "mvhd") : std::nullopt;
  if (!header || box_in(*movie, "mvex")) return std::nullopt;
  for (size_t i = 0;; ++i) {
    const auto box = box_in(*movie, "trak", i);
    if (!box) return std::nullopt;
    const auto about = box_in(*box, "tkhd");
    if (about && big_endian(*about, 4 + 2 * Version(*about).wide, 4) == track)
      return length_of_track(*box, clock_of(*header).rate);
  }
}

}  // namespace antiphon::media
