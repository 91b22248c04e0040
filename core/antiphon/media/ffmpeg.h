// Use of FFmpeg in this folder: owners of its objects, its log, its errors, and decoding a stream under the limits.
// Internal: included by the .cpp files of this folder only, in builds with FFmpeg.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <antiphon/media/limits.h>

namespace antiphon::media {

template <auto kFree>
struct FreeByPointer {
  template <class T>
  void operator()(T* object) const {
    kFree(&object);
  }
};
using CodecContext = std::unique_ptr<AVCodecContext, FreeByPointer<avcodec_free_context>>;
using Frame = std::unique_ptr<AVFrame, FreeByPointer<av_frame_free>>;
using Packet = std::unique_ptr<AVPacket, FreeByPointer<av_packet_free>>;

// Error(memory) for a null pointer.
void* allocated(void* pointer);
Frame make_frame();
Packet make_packet();

// To be called before anything else of FFmpeg: its messages go to our debug log, and none of its allocations may
// be larger than 1 GiB. Cheap after the first time.
void set_up_ffmpeg();

class Deadline {
 public:
  explicit Deadline(const MediaLimits& limits);
  bool passed() const { return std::chrono::steady_clock::now() > end_; }
  // Error(data) once it has passed.
  void check() const;

 private:
  std::chrono::steady_clock::time_point end_;
  double seconds_;
};

// Whether `name` (one, or several separated by commas) has a member in the comma-separated `list`.
bool listed(const char* name, const char* list);

// FFmpeg's names of the allowed decoders, comma-separated.
const char* accepted_codecs();

// The cores that no other ThreadShare holds, at least one: a clip decoded alone has them all; of clips decoded on many
// threads, each has one.
class ThreadShare {
 public:
  ThreadShare();
  ~ThreadShare();
  ThreadShare(const ThreadShare&) = delete;
  int count() const { return count_; }

 private:
  int count_;
};

// One codec, open. Images larger than the limits are refused before memory is taken for them.
class Decoder {
 public:
  // For a stream of a container; Error(data) if the codec is not on the list. `what`: "sound", "picture".
  Decoder(const AVCodecParameters& parameters, AVRational time_base, std::string_view what, const MediaLimits& limits,
          const Deadline& deadline, int threads = 1);
  // For an image without a container.
  Decoder(AVCodecID codec, const MediaLimits& limits, const Deadline& deadline);
  Decoder(const Decoder&) = delete;  // FFmpeg holds its address

  using Use = std::function<void(AVFrame&)>;
  // Decodes one packet (null: drains it at the end). False if it was damaged.
  bool decode(const AVPacket* packet, const Use& use);
  // After the end: ready for packets from elsewhere in the stream.
  void restart() { avcodec_flush_buffers(context_.get()); }
  AVCodecContext& context() { return *context_; }

 private:
  void open(AVCodecID codec, const AVCodecParameters* parameters, std::string_view what, int threads);
  void refuse(std::string why);
  static int get_buffer(AVCodecContext* context, AVFrame* frame, int flags);

  const MediaLimits& limits_;
  const Deadline& deadline_;
  CodecContext context_;
  Frame frame_;
  std::mutex mutex_;
  std::string refusal_;  // why get_buffer refused
  std::atomic<int64_t> pending_buffers_ = 0;
};

}  // namespace antiphon::media
