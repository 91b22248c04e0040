// An audio or video file, read from memory through a short list of FFmpeg's demuxers.
// Internal: included by the .cpp files of this folder only, in builds with FFmpeg.
#pragma once
#include <optional>
#include <string_view>

#include <antiphon/media/audio/sound_length.h>
#include <antiphon/media/ffmpeg.h>

namespace antiphon::media {

class Container {
 public:
  // Error(data) if the bytes are not of an accepted format. `extension` counts only if the content has no signature.
  Container(std::string_view bytes, std::string_view extension, const MediaLimits& limits, const Deadline& deadline);
  Container(const Container&) = delete;  // FFmpeg holds its address

  // Null if there is none.
  AVStream* best(AVMediaType type) const;
  // Packets of these streams only; null stands for none.
  void select(const AVStream* first, const AVStream* second);
  // False at the end, or if damage ends it.
  bool read(AVPacket& packet);
  // Whether the format stores when each frame is shown, rather than leaving it to be guessed from the packet order.
  bool stores_times() const;
  // How many samples of this stream are meant to be heard, if the file says so.
  std::optional<SoundLength> sound_length(const AVStream& stream) const;
  // When the file starts, in seconds of its own clock.
  double start() const;

 private:
  static int read_bytes(void* self, uint8_t* out, int count);
  static int64_t seek(void* self, int64_t offset, int whence);
  static int out_of_time(void* self);
  const AVInputFormat* probe(std::string_view extension);
  void open(const AVInputFormat* format);
  void check_streams() const;

  std::string_view bytes_;
  size_t at_ = 0;
  const MediaLimits& limits_;
  const Deadline& deadline_;
  struct FreeIo {
    void operator()(AVIOContext* io) const;
  };
  std::unique_ptr<AVIOContext, FreeIo> io_;
  std::unique_ptr<AVFormatContext, FreeByPointer<avformat_close_input>> context_;  // destroyed before io_
};

}  // namespace antiphon::media
