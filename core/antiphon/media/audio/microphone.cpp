#include <antiphon/media/audio/microphone.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#if ANTIPHON_FFMPEG
#include <antiphon/media/audio/resampler.h>
#include <dlfcn.h>

#include <atomic>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

extern "C" {
#include <libavdevice/version.h>
}

namespace antiphon::media {
namespace {

MediaLimits endless() {
  MediaLimits limits;
  limits.audio_seconds = limits.wall_seconds = 1e9;
  return limits;
}

[[noreturn]] void refuse(const std::string& device, const std::string& reason) {
  fail(ErrorKind::config, fmt::format("cannot listen on '{}': {}", device, reason),
       "name a capture device as FORMAT:NAME, such as alsa:default or pulse:default; `arecord -l` lists those of ALSA");
}

// libavdevice is opened only here: it brings some eighty libraries (OpenAL, JACK, X11 and their dependencies), which
// would add 30 ms to every start.
void register_devices(const std::string& device) {
  static void* library = dlopen("libavdevice.so." AV_STRINGIFY(LIBAVDEVICE_VERSION_MAJOR), RTLD_NOW);
  void* symbol = library ? dlsym(library, "avdevice_register_all") : nullptr;
  if (!symbol) refuse(device, dlerror());
  reinterpret_cast<void (*)()>(symbol)();
}

std::string words_of(int status) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(status, text, sizeof text);
  return text;
}

}  // namespace

struct Microphone::Capture {
  const MediaLimits limits = endless();
  const Deadline deadline{limits};
  std::unique_ptr<AVFormatContext, FreeByPointer<avformat_close_input>> context;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Resampler> resampler;
  int stream = -1;
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable arrived;
  std::vector<float> samples;  // under the mutex
  bool over = false;           // under the mutex
  std::thread thread;

  void open(const std::string& device, int64_t sample_rate);
  void take();
  void hand_over(std::vector<float> more, bool last);
};

void Microphone::Capture::open(const std::string& device, int64_t sample_rate) {
  set_up_ffmpeg();
  register_devices(device);
  const auto colon = device.find(':');
  const auto* format = av_find_input_format(device.substr(0, colon).c_str());
  if (colon == std::string::npos || !format) refuse(device, "it names no input device of FFmpeg");
  AVFormatContext* opened = avformat_alloc_context();
  opened->interrupt_callback = {[](void* self) { return static_cast<int>(static_cast<Capture*>(self)->stop); }, this};
  const int status = avformat_open_input(&opened, device.substr(colon + 1).c_str(), format, nullptr);
  if (status < 0) refuse(device, words_of(status));
  context.reset(opened);
  stream = avformat_find_stream_info(opened, nullptr) < 0
               ? -1
               : av_find_best_stream(opened, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (stream < 0) refuse(device, "it gives no sound");
  const auto& found = *context->streams[stream];
  decoder = std::make_unique<Decoder>(*found.codecpar, found.time_base, "sound", limits, deadline);
  resampler = std::make_unique<Resampler>(sample_rate, limits);
}

void Microphone::Capture::hand_over(std::vector<float> more, bool last) {
  {
    const std::lock_guard lock(mutex);
    samples.insert(samples.end(), more.begin(), more.end());
    over = last;
  }
  arrived.notify_one();
}

void Microphone::Capture::take() {
  const Packet packet = make_packet();
  try {
    while (!stop && av_read_frame(context.get(), packet.get()) >= 0) {
      if (packet->stream_index == stream) {
        decoder->decode(packet.get(), [this](const AVFrame& frame) { resampler->add(frame); });
        hand_over(resampler->take(), false);
      }
      av_packet_unref(packet.get());
    }
    hand_over(resampler->finish(), true);
  } catch (const Error&) {
    hand_over({}, true);
  }
}

Microphone::Microphone(const std::string& device, int64_t sample_rate) : capture_(std::make_unique<Capture>()) {
  capture_->open(device, sample_rate);
  capture_->thread = std::thread([this] { capture_->take(); });
}

Microphone::~Microphone() {
  capture_->stop = true;
  if (capture_->thread.joinable()) capture_->thread.join();
}

std::vector<float> Microphone::read(std::chrono::milliseconds wait) {
  std::unique_lock lock(capture_->mutex);
  capture_->arrived.wait_for(lock, wait, [this] { return !capture_->samples.empty() || capture_->over; });
  return std::exchange(capture_->samples, {});
}

bool Microphone::ended() const {
  const std::lock_guard lock(capture_->mutex);
  return capture_->over && capture_->samples.empty();
}

}  // namespace antiphon::media
#else
namespace antiphon::media {

struct Microphone::Capture {};
Microphone::Microphone(const std::string&, int64_t) {
  fail(ErrorKind::config, "cannot listen: this build has no FFmpeg",
       "install FFmpeg's development files and build with -DANTIPHON_FFMPEG=ON");
}
Microphone::~Microphone() = default;
std::vector<float> Microphone::read(std::chrono::milliseconds) { return {}; }
bool Microphone::ended() const { return true; }

}  // namespace antiphon::media
#endif
