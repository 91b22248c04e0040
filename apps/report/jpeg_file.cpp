#include <report/jpeg_file.h>

#include <algorithm>
#include <cmath>

#include <antiphon/base/error.h>

#if ANTIPHON_FFMPEG
#include <memory>

extern "C" {
#include <libavcodec/avcodec.h>
}
#endif

namespace antiphon::apps::report {
#if ANTIPHON_FFMPEG
namespace {

constexpr int kQuality = 4;  // 1 best, 31 worst

template <auto kFree>
struct FreeByPointer {
  template <class T>
  void operator()(T* object) const {
    kFree(&object);
  }
};
using Context = std::unique_ptr<AVCodecContext, FreeByPointer<avcodec_free_context>>;
using Frame = std::unique_ptr<AVFrame, FreeByPointer<av_frame_free>>;
using Packet = std::unique_ptr<AVPacket, FreeByPointer<av_packet_free>>;

void check(bool good) {
  if (!good) fail(ErrorKind::data, "the picture could not be written as a JPEG");
}

// ITU T.871, section 7.
void set_pixel(const uint8_t* rgb, AVFrame& frame, int x, int y) {
  const double r = rgb[0], g = rgb[1], b = rgb[2];
  const double values[] = {0.299 * r + 0.587 * g + 0.114 * b, 128 - 0.168736 * r - 0.331264 * g + 0.5 * b,
                           128 + 0.5 * r - 0.418688 * g - 0.081312 * b};
  for (int plane = 0; plane < 3; ++plane)
    frame.data[plane][y * frame.linesize[plane] + x] =
        static_cast<uint8_t>(std::lround(std::clamp(values[plane], 0.0, 255.0)));
}

Frame frame_of(const Image& image) {
  Frame frame(av_frame_alloc());
  check(frame != nullptr);
  frame->format = AV_PIX_FMT_YUVJ444P, frame->color_range = AVCOL_RANGE_JPEG;
  frame->width = static_cast<int>(image.width), frame->height = static_cast<int>(image.height);
  check(av_frame_get_buffer(frame.get(), 0) >= 0);
  for (int y = 0; y < frame->height; ++y)
    for (int x = 0; x < frame->width; ++x)
      set_pixel(image.rgb.data() + 3 * (static_cast<int64_t>(y) * image.width + x), *frame, x, y);
  frame->quality = kQuality * FF_QP2LAMBDA;
  return frame;
}

Context encoder_for(const AVFrame& frame) {
  const auto* codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
  check(codec != nullptr);
  Context context(avcodec_alloc_context3(codec));
  check(context != nullptr);
  context->width = frame.width, context->height = frame.height;
  context->pix_fmt = AV_PIX_FMT_YUVJ444P, context->color_range = AVCOL_RANGE_JPEG;
  context->time_base = {1, 25};
  context->flags |= AV_CODEC_FLAG_QSCALE;
  context->global_quality = kQuality * FF_QP2LAMBDA;
  check(avcodec_open2(context.get(), codec, nullptr) >= 0);
  return context;
}

}  // namespace

std::string jpeg_file(const Image& image) {
  const auto frame = frame_of(image);
  const auto context = encoder_for(*frame);
  const Packet packet(av_packet_alloc());
  check(packet && avcodec_send_frame(context.get(), frame.get()) >= 0 &&
        avcodec_send_frame(context.get(), nullptr) >= 0 && avcodec_receive_packet(context.get(), packet.get()) >= 0);
  return {reinterpret_cast<const char*>(packet->data), static_cast<size_t>(packet->size)};
}
#else
std::string jpeg_file(const Image&) { fail(ErrorKind::config, "this build has no FFmpeg, which writes pictures"); }
#endif

}  // namespace antiphon::apps::report
