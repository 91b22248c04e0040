#if ANTIPHON_FFMPEG
#include <antiphon/media/ffmpeg.h>

#include <algorithm>
#include <cstdarg>
#include <mutex>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/early/cpu_quota.h>
#include <antiphon/media/decode.h>

extern "C" {
#include <libavutil/avstring.h>
#include <libavutil/mem.h>
}

namespace antiphon::media {
namespace {

constexpr const char* kCodecs =
    "h264,hevc,av1,libdav1d,vp8,vp9,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpeg4,h263,theora,mjpeg,gif,png,webp,"
    "aac,mp3,mp3float,mp2,mp2float,mp1,mp1float,flac,alac,vorbis,opus,speex,g722,gsm,gsm_ms,adpcm_ima_wav,adpcm_ms,"
    "adpcm_ima_qt,amrnb,amrwb,wmav1,wmav2,wmapro,"
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,"
    "pcm_alaw,pcm_mulaw";

constexpr const char* kPictureCodecs = "png,webp,bmp,tiff";

std::atomic<int> threads_taken = 0;

// What FFmpeg would decode to another sound than the file's; nullptr: nothing. It fails at the packets of ALAC that are
// not packed, and would go on without them; the number of NMS ADPCM in a WAV it takes for that of AMR.
const char* misread(const AVCodecParameters& sound) {
  constexpr uint32_t nms_adpcm = 0x38;
  if (sound.codec_id == AV_CODEC_ID_ALAC && sound.bits_per_raw_sample == 20) return "ALAC of 20 bits";
  return sound.codec_id == AV_CODEC_ID_AMR_NB && sound.codec_tag == nms_adpcm ? "NMS ADPCM" : nullptr;
}

// Without the usual prefix, which contains a heap address.
void to_debug_log(void*, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_WARNING) return;
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  log::debug(fmt::format("ffmpeg: {}", trim(text)));
}

}  // namespace

std::string backend_version() { return fmt::format("{}", av_version_info()); }

void* allocated(void* pointer) {
  if (!pointer) fail(ErrorKind::memory, "no memory left to decode media");
  return pointer;
}

Frame make_frame() { return Frame(static_cast<AVFrame*>(allocated(av_frame_alloc()))); }
Packet make_packet() { return Packet(static_cast<AVPacket*>(allocated(av_packet_alloc()))); }

void set_up_ffmpeg() {
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_callback(to_debug_log);
    av_max_alloc(1 << 30);
  });
}

Deadline::Deadline(const MediaLimits& limits)
    : end_(std::chrono::steady_clock::now() +
           std::chrono::microseconds(static_cast<int64_t>(limits.wall_seconds * 1e6))),
      seconds_(limits.wall_seconds) {}

void Deadline::check() const {
  if (passed())
    fail(ErrorKind::data, fmt::format("decoding took longer than the {} s that one item may take", seconds_));
}

const char* accepted_codecs() { return kCodecs; }

bool listed(const char* name, const char* list) { return av_match_list(name, list, ',') > 0; }

ThreadShare::ThreadShare() {
  constexpr int most = 16;  // each holds a few frames
  const int cores = early::processors();
  int taken = threads_taken.load();
  do count_ = std::clamp(cores - taken, 1, most);
  while (!threads_taken.compare_exchange_weak(taken, taken + count_));
}

ThreadShare::~ThreadShare() { threads_taken -= count_; }

Decoder::Decoder(const AVCodecParameters& parameters, AVRational time_base, std::string_view what,
                 const MediaLimits& limits, const Deadline& deadline, int threads)
    : limits_(limits), deadline_(deadline), frame_(make_frame()) {
  open(parameters.codec_id, &parameters, what, threads);
  context_->pkt_timebase = time_base;
  // Without it, H.264 stops giving frames at the end if it considers one of them incomplete after a seek.
  context_->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
}

Decoder::Decoder(AVCodecID codec, const MediaLimits& limits, const Deadline& deadline)
    : limits_(limits), deadline_(deadline), frame_(make_frame()) {
  open(codec, nullptr, "picture", 1);
  context_->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;
}

void Decoder::open(AVCodecID codec, const AVCodecParameters* parameters, std::string_view what, int threads) {
  const AVCodec* decoder = avcodec_find_decoder(codec);
  if (!decoder || !listed(decoder->name, parameters ? kCodecs : kPictureCodecs))
    fail(ErrorKind::data, fmt::format("the {} is coded as {}, which is not accepted", what, avcodec_get_name(codec)),
         "convert it, for example to H.264 with AAC, to FLAC, or to PNG");
  if (const char* coding = parameters ? misread(*parameters) : nullptr)
    fail(ErrorKind::data, fmt::format("the {} is coded as {}, which is not accepted", what, coding),
         "convert it by another program than FFmpeg, say: sndfile-convert -pcm24 FILE sound.wav");
  context_.reset(static_cast<AVCodecContext*>(allocated(avcodec_alloc_context3(decoder))));
  if (parameters && avcodec_parameters_to_context(context_.get(), parameters) < 0)
    fail(ErrorKind::data, fmt::format("the description of the {} is damaged", what));
  context_->thread_count = threads;
#if LIBAVCODEC_VERSION_MAJOR < 60  // always so from version 60 on
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  context_->thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
  context_->max_pixels = limits_.pixels;
  context_->opaque = this;
  context_->get_buffer2 = get_buffer;
  if (avcodec_open2(context_.get(), decoder, nullptr) < 0)
    fail(ErrorKind::data, fmt::format("the {} cannot be decoded: its {} header is damaged", what, decoder->name));
}

void Decoder::refuse(std::string why) {
  const std::lock_guard lock(mutex_);
  refusal_ = std::move(why);
}

// Called on the decoding threads before a decoder gets memory for an image or a stretch of audio.
int Decoder::get_buffer(AVCodecContext* context, AVFrame* frame, int flags) {
  auto& self = *static_cast<Decoder*>(context->opaque);
  // A packet may ask for a few (an image and its alpha, a concealed lost frame); one that keeps asking is an attack.
  constexpr int64_t most_for_a_packet = 64;
  if (frame->width > self.limits_.side || frame->height > self.limits_.side)
    self.refuse(fmt::format("the picture has {} x {} pixels; at most {} a side are accepted", frame->width,
                            frame->height, self.limits_.side));
  else if (++self.pending_buffers_ > most_for_a_packet && frame->width > 0)
    self.refuse("the picture begins anew again and again");
  else if (!self.deadline_.passed())
    return avcodec_default_get_buffer2(context, frame, flags);
  return AVERROR(EINVAL);
}

bool Decoder::decode(const AVPacket* packet, const Use& use) {
  deadline_.check();
  pending_buffers_ = 0;
  bool whole = avcodec_send_packet(context_.get(), packet) >= 0;
  for (int failures = 0; failures < 100;) {
    const int received = avcodec_receive_frame(context_.get(), frame_.get());
    if (const std::lock_guard lock(mutex_); !refusal_.empty()) fail(ErrorKind::data, refusal_);
    if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) break;
    if (received == AVERROR(ENOMEM)) fail(ErrorKind::memory, "no memory left to decode media");
    if (received < 0) {
      whole = false;
      ++failures;
      continue;
    }
    use(*frame_);
    av_frame_unref(frame_.get());
    deadline_.check();
  }
  deadline_.check();
  return whole;
}

}  // namespace antiphon::media
#endif
