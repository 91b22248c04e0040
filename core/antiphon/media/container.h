// A file of sound or video, read from memory through FFmpeg's demuxers of a short list.
// Internal: included by the .cpp files of this folder only, in builds with FFmpeg.
#pragma once
#include <optional>
#include <string_view>

#include <antiphon/media/audio/sound_length.h>
#include <antiphon/media/ffmpeg.h>

namespace antiphon::media {

class Container {
 public:
  // Error(data) where the bytes are of no accepted format. `extension` counts only where the content has no mark.
  Container(std::string_view bytes, std::string_view extension, const MediaLimits& limits, const Deadline& deadline);
  Container(const Container&) = delete;  // FFmpeg holds its address

  // Null where there is none.
  AVStream* best(AVMediaType type) const;
  // Packets of these streams only; null stands for none.
  void select(const AVStream* first, const AVStream* second);
  // False at the end, which damage brings on too.
  bool read(AVPacket& packet);
  // Whether the format stores when each frame comes up, rather than leaving it to be guessed from the packets' order.
  bool stores_times() const;
  // How many samples of this stream are meant to be heard, by what the file says; nothing if it does not.
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
  std::unique_ptr<AVFormatContext, FreeByPointer<avformat_close_input>> context_;  // goes before io_, which it uses
};

}  // namespace antiphon::media
