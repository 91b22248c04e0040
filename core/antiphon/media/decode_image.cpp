#if ANTIPHON_FFMPEG
#include <cstring>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/frame_to_rgb.h>
#include <antiphon/media/image_header.h>
#include <antiphon/media/jpeg.h>

namespace antiphon::media {
namespace {

AVCodecID codec_of(ImageFormat format) {
  switch (format) {
    case ImageFormat::webp: return AV_CODEC_ID_WEBP;
    case ImageFormat::gif: return AV_CODEC_ID_GIF;
    default: break;
  }
  return AV_CODEC_ID_PNG;
}

// The whole file as one packet, which FFmpeg wants followed by zeros.
Packet whole_file(std::string_view bytes) {
  Packet packet = make_packet();
  if (av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) allocated(nullptr);
  std::memcpy(packet->data, bytes.data(), bytes.size());
  return packet;
}

void check(std::string_view bytes, const ImageHeader& header, const MediaLimits& limits) {
  if (bytes.size() > std::min<uint64_t>(limits.file_bytes, INT32_MAX / 2))
    fail(ErrorKind::data,
         fmt::format("the picture's file has {} bytes; at most {} are accepted", bytes.size(), limits.file_bytes));
  check_picture_size(header.width, header.height, limits);
  constexpr uint8_t start_of_scan = 0xDA;
  if (header.format != ImageFormat::jpeg) return;
  if (const int64_t scans = count_jpeg_markers(bytes, start_of_scan); scans > limits.jpeg_scans)
    fail(ErrorKind::data, fmt::format("the JPEG has {} scans; at most {} are accepted", scans, limits.jpeg_scans),
         "save it anew");
}

Image decode_by_ffmpeg(std::string_view bytes, ImageFormat format, const MediaLimits& limits,
                       const Deadline& deadline) {
  Decoder decoder(codec_of(format), limits, deadline);
  const Packet packet = whole_file(format == ImageFormat::png ? png_pixel_chunks(bytes) : std::string(bytes));
  std::optional<Image> image;
  const auto keep_first = [&](AVFrame& frame) {
    if (!image) image = frame_to_rgb(frame, format);
  };
  const bool whole = decoder.decode(packet.get(), keep_first) && (image || decoder.decode(nullptr, keep_first));
  if (!whole || !image) fail(ErrorKind::data, fmt::format("the {} is damaged or cut short", to_string(format)));
  return std::move(*image);
}

}  // namespace

Image decode_image(std::string_view bytes, const MediaLimits& limits) {
  set_up_ffmpeg();
  const ImageHeader header = read_image_header(bytes);
  check(bytes, header, limits);
  const Deadline deadline(limits);
  Image image = header.format == ImageFormat::jpeg ? decode_jpeg(bytes, limits, deadline)
                                                   : decode_by_ffmpeg(bytes, header.format, limits, deadline);
  return oriented(std::move(image), header.orientation);
}

}  // namespace antiphon::media
#endif
