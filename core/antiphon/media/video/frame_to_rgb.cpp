#if ANTIPHON_FFMPEG
#include <antiphon/media/video/frame_to_rgb.h>

#include <array>
#include <atomic>
#include <optional>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace antiphon::media {
namespace {

// Offsets of the red, green, blue and alpha bytes of a packed pixel; alpha is -1 if there is none. For 16-bit samples,
// that of the high byte.
struct Packing {
  int bytes;
  std::array<int, 4> rgba;
};

std::optional<Packing> packing_of(int format) {
  switch (format) {
    case AV_PIX_FMT_RGB24: return Packing{3, {0, 1, 2, -1}};
    case AV_PIX_FMT_BGR24: return Packing{3, {2, 1, 0, -1}};
    case AV_PIX_FMT_RGBA: return Packing{4, {0, 1, 2, 3}};
    case AV_PIX_FMT_BGRA: return Packing{4, {2, 1, 0, 3}};
    case AV_PIX_FMT_BGR0: return Packing{4, {2, 1, 0, -1}};
    case AV_PIX_FMT_ARGB: return Packing{4, {1, 2, 3, 0}};
    case AV_PIX_FMT_RGB48BE: return Packing{6, {0, 2, 4, -1}};
    case AV_PIX_FMT_RGBA64BE: return Packing{8, {0, 2, 4, 6}};
    case AV_PIX_FMT_RGB48LE: return Packing{6, {1, 3, 5, -1}};
    case AV_PIX_FMT_RGBA64LE: return Packing{8, {1, 3, 5, 7}};
    case AV_PIX_FMT_GRAY8: return Packing{1, {0, 0, 0, -1}};
    case AV_PIX_FMT_YA8: return Packing{2, {0, 0, 0, 1}};
    case AV_PIX_FMT_YA16BE: return Packing{4, {0, 0, 0, 2}};
    default: return std::nullopt;
  }
}

Plane plane(const AVFrame& frame, int index, int64_t width, int64_t height) {
  return {frame.data[index], frame.linesize[index], width, height};
}

Image empty_like(const AVFrame& frame) {
  return {frame.height, frame.width,
          std::vector<uint8_t>(static_cast<size_t>(frame.height) * static_cast<size_t>(frame.width) * 3)};
}

// fill(row of the frame, x, rgb) sets a pixel and returns its alpha.
template <class Fill>
Image gather(const AVFrame& frame, bool white, Fill&& fill) {
  Image image = empty_like(frame);
  std::vector<uint8_t> alpha(static_cast<size_t>(frame.height) * static_cast<size_t>(frame.width));
  for (int64_t y = 0; y < frame.height; ++y) {
    const uint8_t* row = frame.data[0] + y * frame.linesize[0];
    for (int64_t x = 0; x < frame.width; ++x)
      alpha[y * frame.width + x] = fill(row, x, image.rgb.data() + (y * frame.width + x) * 3);
  }
  if (white) blend_over_white(image, {alpha.data(), frame.width, frame.width, frame.height});
  return image;
}

Image unpack(const AVFrame& frame, const Packing& packing, bool white) {
  return gather(frame, white, [&](const uint8_t* row, int64_t x, uint8_t* rgb) -> uint8_t {
    const uint8_t* pixel = row + x * packing.bytes;
    for (int channel = 0; channel < 3; ++channel) rgb[channel] = pixel[packing.rgba[channel]];
    return packing.rgba[3] < 0 ? 255 : pixel[packing.rgba[3]];
  });
}

Image from_palette(const AVFrame& frame, bool white) {
  const auto* palette = reinterpret_cast<const uint32_t*>(frame.data[1]);
  return gather(frame, white, [&](const uint8_t* row, int64_t x, uint8_t* rgb) -> uint8_t {
    const uint32_t argb = palette[row[x]];
    rgb[0] = argb >> 16 & 255, rgb[1] = argb >> 8 & 255, rgb[2] = argb & 255;
    return argb >> 24;
  });
}

// 5 bits each, or 6 of green.
Image from_words(const AVFrame& frame, int green_bits) {
  const int most = (1 << green_bits) - 1;
  return gather(frame, false, [&](const uint8_t* row, int64_t x, uint8_t* rgb) -> uint8_t {
    const int word = row[2 * x] | row[2 * x + 1] << 8;
    const auto wide = [](int value, int of) { return static_cast<uint8_t>(value * 255 / of); };
    rgb[0] = wide(word >> (5 + green_bits) & 31, 31), rgb[1] = wide(word >> 5 & most, most),
    rgb[2] = wide(word & 31, 31);
    return 255;
  });
}

Image from_bits(const AVFrame& frame) {
  const uint8_t set = frame.format == AV_PIX_FMT_MONOBLACK ? 255 : 0;
  return gather(frame, false, [&](const uint8_t* row, int64_t x, uint8_t* rgb) -> uint8_t {
    rgb[0] = rgb[1] = rgb[2] = row[x / 8] >> (7 - x % 8) & 1 ? set : 255 - set;
    return 255;
  });
}

// Pillow's conversion makes nearly all of such an image white; the user should know.
void warn_of_clipping() {
  static std::atomic_flag warned;
  if (!warned.test_and_set())
    log::warning(
        "a picture with gray of 16 bits: values above 255 become white, as Pillow and transformers have it; "
        "data.image.gray16 = \"scale\" keeps the high byte instead");
}

Image from_gray16(const AVFrame& frame, bool scale) {
  const auto* layout = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  const int high = layout->flags & AV_PIX_FMT_FLAG_BE ? 0 : 1;
  return gather(frame, false, [&](const uint8_t* row, int64_t x, uint8_t* rgb) -> uint8_t {
    const uint8_t upper = row[2 * x + high], lower = row[2 * x + 1 - high];
    if (!scale && upper) warn_of_clipping();
    rgb[0] = rgb[1] = rgb[2] = scale ? upper : upper ? 255 : lower;
    return 255;
  });
}

Image from_webp(const AVFrame& frame, bool blend) {
  const int64_t width = AV_CEIL_RSHIFT(frame.width, 1), height = AV_CEIL_RSHIFT(frame.height, 1);
  Image image = webp_to_rgb(plane(frame, 0, frame.width, frame.height), plane(frame, 1, width, height),
                            plane(frame, 2, width, height));
  if (blend) blend_over_white(image, plane(frame, 3, frame.width, frame.height));
  return image;
}

}  // namespace

Image frame_to_rgb(const AVFrame& frame, ImageFormat format, const ImageReading& reading) {
  const bool white = reading.white();
  if (const auto packing = packing_of(frame.format)) return unpack(frame, *packing, white);
  switch (frame.format) {
    case AV_PIX_FMT_PAL8: return from_palette(frame, white);
    case AV_PIX_FMT_RGB555LE: return from_words(frame, 5);
    case AV_PIX_FMT_RGB565LE: return from_words(frame, 6);
    case AV_PIX_FMT_MONOBLACK:
    case AV_PIX_FMT_MONOWHITE: return from_bits(frame);
    case AV_PIX_FMT_GRAY16LE:
    case AV_PIX_FMT_GRAY16BE: return from_gray16(frame, reading.gray16 == "scale");
    case AV_PIX_FMT_YUV420P: return from_webp(frame, false);
    case AV_PIX_FMT_YUVA420P: return from_webp(frame, white);
    default: break;
  }
  const AVPixFmtDescriptor* layout = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  fail(ErrorKind::data,
       fmt::format("{} pictures with pixels of the kind {} are not accepted", to_string(format),
                   layout ? layout->name : "unknown"),
       "save it as 8-bit RGB");
}

}  // namespace antiphon::media
#endif
