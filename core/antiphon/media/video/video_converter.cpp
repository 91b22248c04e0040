#if ANTIPHON_FFMPEG
#include <antiphon/media/video/video_converter.h>

#include <algorithm>
#include <cstring>
#include <random>

#include <antiphon/base/error.h>

extern "C" {
#include <libswscale/swscale.h>
}

namespace antiphon::media {
namespace {

constexpr int64_t kLeastHeight = 8;  // libswscale uses other filters below this

int matrix_number(const AVFrame& frame) {
  return frame.colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : frame.colorspace;
}

// As libswscale derives them from its tables, which have 16 fractional bits.
kernels::ColourMatrix colour_matrix(const AVFrame& frame) {
  const int* table = sws_getCoefficients(matrix_number(frame));
  const bool full = frame.color_range == AVCOL_RANGE_JPEG;
  const auto coefficient = [](int64_t value) {
    return static_cast<int16_t>(std::clamp<int64_t>((value * 8192 + 32768) >> 16, -32767, 32767));
  };
  const auto chroma = [&](int64_t value) { return coefficient(full ? value * 224 / 255 : value); };
  const int16_t luma = coefficient(full ? 65536 : 65536 * 255 / 219);
  constexpr int32_t half = 1 << 21, black = 16 << 9;
  return {
      luma, chroma(table[0]), chroma(-table[3]), chroma(-table[2]), chroma(table[1]), half - (full ? 0 : black * luma)};
}

// The rows of chroma whose mean row `y` takes: libswscale rounds the shares of 1/4 and 3/4 to 0 and 1/2.
std::pair<int64_t, int64_t> chroma_rows(int64_t y, int64_t height) {
  const int64_t below = y / 2, last = height / 2 - 1;
  if (y == 0) return {0, 0};
  if (y == height - 1) return {last - 1, last};
  return {y % 2 ? below : below - 1, below};
}

Frame random_frame(int format, int width, int height) {
  Frame frame = make_frame();
  frame->format = format, frame->width = width, frame->height = height;
  if (av_frame_get_buffer(frame.get(), 0) < 0) allocated(nullptr);
  std::minstd_rand random;
  for (int plane = 0; plane < 3; ++plane)
    for (int i = 0; i < frame->linesize[plane] * (plane ? height / 2 : height); ++i)
      frame->data[plane][i] = static_cast<uint8_t>(random() >> 8);
  return frame;
}

}  // namespace

VideoConverter::VideoConverter() = default;
VideoConverter::~VideoConverter() = default;
void VideoConverter::FreeScaler::operator()(SwsContext* scaler) const { sws_freeContext(scaler); }

bool VideoConverter::by_kernel(const AVFrame& frame) {
  const Kind kind{frame.format, frame.colorspace, frame.color_range};
  if ((kind.format != AV_PIX_FMT_YUV420P && kind.format != AV_PIX_FMT_YUVJ420P) || frame.width % 2 ||
      frame.height % 2 || frame.width < kernels::kLeastYuvWidth || frame.height < kLeastHeight)
    return false;
  if (probed_ != kind) {
    agrees_ = probe(kind);
    probed_ = kind;
  }
  return agrees_;
}

bool VideoConverter::probe(const Kind& kind) {
  constexpr int width = 36, height = 8;
  const Frame frame = random_frame(kind.format, width, height);
  frame->colorspace = static_cast<AVColorSpace>(kind.space), frame->color_range = static_cast<AVColorRange>(kind.range);
  matrix_ = colour_matrix(*frame);
  std::vector<uint8_t> ours(width * height * 3);
  convert_strip(*frame, 0, height, ours.data());
  const PixelRows theirs = by_libswscale(*frame);
  for (int64_t y = 0; y < height; ++y)
    if (std::memcmp(ours.data() + y * width * 3, theirs.rgb + y * theirs.stride, width * 3) != 0) return false;
  return true;
}

void VideoConverter::convert_strip(const AVFrame& frame, int64_t first, int64_t count, uint8_t* out) {
  scratch_.resize(static_cast<size_t>(frame.width + 4));
  const auto row = [&](int plane, int64_t y) { return frame.data[plane] + y * frame.linesize[plane]; };
  for (int64_t y = first; y < first + count; ++y, out += frame.width * 3) {
    const auto [a, b] = chroma_rows(y, frame.height);
    kernels::resample_kernels().yuv_to_rgb(
        {row(0, y), {row(1, a), row(1, b)}, {row(2, a), row(2, b)}, frame.width, matrix_, out, scratch_.data()});
  }
}

PixelRows VideoConverter::by_libswscale(const AVFrame& frame) {
  constexpr int exact = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
  scaler_.reset(sws_getCachedContext(scaler_.release(), frame.width, frame.height,
                                     static_cast<AVPixelFormat>(frame.format), frame.width, frame.height,
                                     AV_PIX_FMT_RGB24, exact, nullptr, nullptr, nullptr));
  if (!scaler_)
    fail(ErrorKind::data, "the video's pixels are of a kind that is not accepted",
         "convert it to H.264 with yuv420p pixels");
  sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(matrix_number(frame)),
                           frame.color_range == AVCOL_RANGE_JPEG, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16,
                           1 << 16);
  // libswscale writes whole vectors; rows of its own with room at the end keep that within bounds.
  const int64_t stride = (static_cast<int64_t>(frame.width) * 3 + 63) / 64 * 64 + 64;
  rows_.resize(static_cast<size_t>(stride * frame.height));
  uint8_t* const out[4] = {rows_.data()};
  const int strides[4] = {static_cast<int>(stride)};
  if (sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, out, strides) != frame.height)
    fail(ErrorKind::data, "a frame of the video cannot be turned into RGB");
  return {rows_.data(), stride};
}

Image VideoConverter::operator()(const AVFrame& frame) {
  Image image{frame.height, frame.width, {}};
  const int64_t length = image.width * 3;
  image.rgb.resize(static_cast<size_t>(image.height * length));
  if (by_kernel(frame)) {
    convert_strip(frame, 0, image.height, image.rgb.data());
    return image;
  }
  const PixelRows rows = by_libswscale(frame);
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(rows.rgb + y * rows.stride, length, image.rgb.data() + y * length);
  return image;
}

Image VideoConverter::resized(const AVFrame& frame, Size size, Filter filter) {
  const Size from{frame.height, frame.width};
  if (from == size) return (*this)(frame);
  if (!resizer_ || from != from_ || size != to_ || filter != filter_) {
    resizer_.emplace(from, size, filter);
    from_ = from, to_ = size, filter_ = filter;
  }
  if (by_kernel(frame))
    return resizer_->resize([&](int64_t first, int64_t count) {
      rows_.resize(static_cast<size_t>(count * frame.width * 3));
      convert_strip(frame, first, count, rows_.data());
      return PixelRows{rows_.data(), static_cast<int64_t>(frame.width) * 3};
    });
  const PixelRows rows = by_libswscale(frame);
  return resizer_->resize([&](int64_t first, int64_t) {
    return PixelRows{rows.rgb + first * rows.stride, rows.stride};
  });
}

}  // namespace antiphon::media
#endif
