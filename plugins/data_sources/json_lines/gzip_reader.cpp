#include "gzip_reader.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>

namespace antiphon::json_lines {
namespace {

constexpr size_t kBlock = 64 << 10;
constexpr size_t kWindow = 32 << 10;
constexpr size_t kTrailer = 8;               // checksum and size
constexpr int kGzip = 16 + 15, kBare = -15;  // windowBits of a gzip member; of deflated bytes alone

Bytef* bytes_of(const char* text) { return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text)); }

}  // namespace

bool is_gzip(std::string_view start) { return start.starts_with("\x1f\x8b\x08"); }

std::string unpacked(std::string_view start) {
  std::string text(kBlock, '\0');
  z_stream stream{};
  inflateInit2(&stream, kGzip);
  stream.next_in = bytes_of(start.data()), stream.avail_in = static_cast<uInt>(start.size());
  stream.next_out = bytes_of(text.data()), stream.avail_out = static_cast<uInt>(text.size());
  inflate(&stream, Z_NO_FLUSH);  // as far as it comes
  text.resize(text.size() - stream.avail_out);
  inflateEnd(&stream);
  return text;
}

GzipReader::GzipReader(const HashedFile& file, const GzipPlace& from)
    : file_(file), out_(kBlock, '\0'), read_(from.packed), text_(from.text), bare_(from.packed > 0) {
  inflateInit2(&stream_, bare_ ? kBare : kGzip);
  if (bare_) begin_at(from);
}

void GzipReader::begin_at(const GzipPlace& from) {
  if (from.bits > 0) {
    const auto last = static_cast<unsigned char>(file_.read(from.packed - 1, 1).at(0));
    inflatePrime(&stream_, from.bits, last >> (8 - from.bits));
  }
  inflateSetDictionary(&stream_, bytes_of(from.window.data()), static_cast<uInt>(from.window.size()));
}

void GzipReader::refuse(const char* reason) const {
  fail(ErrorKind::data, fmt::format("{} {} after {} bytes of its text", shown(file_.path().string()), reason, text_),
       "fetch it again; `gzip --test` says whether it is whole");
}

// False at the end of the file.
bool GzipReader::fill() {
  if (stream_.avail_in > 0) return true;
  in_ = file_.read(read_, kBlock);
  read_ += in_.size();
  stream_.next_in = bytes_of(in_.data()), stream_.avail_in = static_cast<uInt>(in_.size());
  return !in_.empty();
}

// Another member may follow, behind zeros, which are padding.
void GzipReader::end_member() {
  for (size_t left = bare_ ? kTrailer : 0; left > 0;) {
    if (!fill()) refuse("ends too early:");
    const auto some = std::min<size_t>(left, stream_.avail_in);
    stream_.next_in += some, stream_.avail_in -= static_cast<uInt>(some), left -= some;
  }
  while (fill() && *stream_.next_in == 0) ++stream_.next_in, --stream_.avail_in;
  ended_ = !fill();
  bare_ = false;
  if (!ended_) inflateReset2(&stream_, kGzip);
}

std::string_view GzipReader::next() {
  stream_.next_out = bytes_of(out_.data()), stream_.avail_out = kBlock;
  while (!ended_ && stream_.avail_out == kBlock) {
    if (!fill()) refuse("ends too early:");
    const int result = inflate(&stream_, Z_BLOCK);
    if (result == Z_STREAM_END)
      end_member();
    else if (result != Z_OK && result != Z_BUF_ERROR)
      refuse("is damaged");
  }
  const std::string_view text(out_.data(), kBlock - stream_.avail_out);
  text_ += text.size();
  return text;
}

std::optional<GzipPlace> GzipReader::place() {
  constexpr int kBits = 7, kLast = 64, kBetween = 128;  // of data_type
  const bool between = (stream_.data_type & kBetween) != 0 && (stream_.data_type & kLast) == 0;
  if (ended_ || !between) return std::nullopt;
  GzipPlace place{text_, packed(), stream_.data_type & kBits, std::string(kWindow, '\0')};
  uInt size = 0;
  inflateGetDictionary(&stream_, bytes_of(place.window.data()), &size);
  place.window.resize(size);
  return place;
}

}  // namespace antiphon::json_lines
