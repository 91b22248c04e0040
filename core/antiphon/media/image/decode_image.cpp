#if ANTIPHON_FFMPEG
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/gif.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/jpeg.h>
#include <antiphon/media/image/png.h>
#include <antiphon/media/image/tiff.h>
#include <antiphon/media/image/webp.h>
#include <antiphon/media/video/frame_to_rgb.h>

namespace antiphon::media {
namespace {

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

// One image whose header has been checked.
class ImageDecoder {
 public:
  ImageDecoder(std::string_view bytes, const MediaLimits& limits, const ImageReading& reading)
      : bytes_(bytes), limits_(limits), reading_(reading), deadline_(limits) {}

  Image decode(const ImageHeader& header) const {
    switch (header.format) {
      case ImageFormat::jpeg: return decode_jpeg(bytes_, limits_, deadline_);
      case ImageFormat::gif: return decode_gif(bytes_, reading_.white(), limits_);
      case ImageFormat::webp: return webp(header);
      case ImageFormat::bmp: return by_ffmpeg(bytes_, AV_CODEC_ID_BMP, header.format);
      case ImageFormat::tiff: return by_ffmpeg(plain_tiff(bytes_), AV_CODEC_ID_TIFF, header.format);
      case ImageFormat::png: break;
    }
    return by_ffmpeg(png_pixel_chunks(bytes_, reading_.white()), AV_CODEC_ID_PNG, header.format);
  }

 private:
  Image webp(const ImageHeader& header) const {
    const auto frame = first_webp_frame(bytes_);
    if (!frame) return by_ffmpeg(bytes_, AV_CODEC_ID_WEBP, header.format);
    const Image image = by_ffmpeg(frame->file, AV_CODEC_ID_WEBP, header.format);
    if (frame->x + image.width > header.width || frame->y + image.height > header.height)
      fail(ErrorKind::data, "the WebP is damaged: its first frame lies outside the picture");
    Image canvas{
        header.height, header.width,
        std::vector<uint8_t>(static_cast<size_t>(header.height * header.width * 3), reading_.white() ? 255 : 0)};
    lay(image, frame->x, frame->y, canvas);
    return canvas;
  }

  // The whole file as one packet, which FFmpeg wants followed by zeros.
  Image by_ffmpeg(std::string_view file, AVCodecID codec, ImageFormat format) const {
    const Packet packet = make_packet();
    if (av_new_packet(packet.get(), static_cast<int>(file.size())) < 0) allocated(nullptr);
    std::memcpy(packet->data, file.data(), file.size());
    Decoder decoder(codec, limits_, deadline_);
    std::optional<Image> image;
    const auto keep_first = [&](AVFrame& frame) {
      if (!image) image = frame_to_rgb(frame, format, reading_);
    };
    const bool whole = decoder.decode(packet.get(), keep_first) && (image || decoder.decode(nullptr, keep_first));
    if (!whole || !image) fail(ErrorKind::data, fmt::format("the {} is damaged or cut short", to_string(format)));
    return std::move(*image);
  }

  std::string_view bytes_;
  const MediaLimits& limits_;
  const ImageReading& reading_;
  Deadline deadline_;
};

}  // namespace

Image decode_image(std::string_view bytes, const MediaLimits& limits, const ImageReading& reading) {
  set_up_ffmpeg();
  const ImageHeader header = read_image_header(bytes);
  check(bytes, header, limits);
  return oriented(ImageDecoder(bytes, limits, reading).decode(header), header.orientation);
}

}  // namespace antiphon::media
#endif
