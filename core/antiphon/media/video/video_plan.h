// Which packets of a video must be decoded for its frames at given times. Knows nothing of FFmpeg.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace antiphon::media {

struct VideoPacket {
  int64_t stamp = 0;    // when its frame is shown, in the stream's units
  double seconds = 0;   // the same in seconds
  double duration = 0;  // in seconds; 0 if unknown
  bool key = false;     // decoding may begin here
  bool shown = true;    // not cut off by an edit list
};

class VideoPlan {
 public:
  // The packets in the order of the file (that of decoding), at least one of them shown.
  explicit VideoPlan(std::vector<VideoPacket> packets);

  double start() const { return start_; }
  // From the first frame to the end of the last; a last frame without a duration lasts as long as the mean.
  double duration() const { return duration_; }
  const VideoPacket& operator[](size_t index) const { return packets_[index]; }

  // Frames that are shown, and the packet of one of them, counted from 0 in the order in which they are.
  size_t frames() const { return by_time_.size(); }
  size_t frame(size_t number) const { return by_time_[number]; }
  // The packet of the frame on screen `seconds` after the start: the last one shown, else the first of all.
  size_t packet_at(double seconds) const;
  // For each packet whether it is needed to decode `wanted`: from the key frame before it, and from the one before
  // that if it is shown earlier than its key frame.
  std::vector<bool> needed(const std::vector<size_t>& wanted) const;

 private:
  size_t key_before(size_t index) const;
  std::vector<VideoPacket> packets_;
  std::vector<size_t> by_time_;
  double start_ = 0, duration_ = 0;
};

}  // namespace antiphon::media
