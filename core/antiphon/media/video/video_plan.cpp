#include <antiphon/media/video/video_plan.h>

#include <algorithm>

namespace antiphon::media {

VideoPlan::VideoPlan(std::vector<VideoPacket> packets) : packets_(std::move(packets)) {
  for (size_t i = 0; i < packets_.size(); ++i)
    if (packets_[i].shown) by_time_.push_back(i);
  std::ranges::stable_sort(by_time_, {}, [&](size_t i) { return packets_[i].stamp; });
  const VideoPacket &first = packets_[by_time_.front()], &last = packets_[by_time_.back()];
  start_ = first.seconds;
  const double span = last.seconds - first.seconds;
  const double tail =
      last.duration > 0 || by_time_.size() == 1 ? last.duration : span / static_cast<double>(by_time_.size() - 1);
  duration_ = span + tail;
}

size_t VideoPlan::packet_at(double seconds) const {
  constexpr double rounding = 1e-6;
  const auto after = std::ranges::upper_bound(by_time_, seconds + start_ + rounding, {},
                                              [&](size_t i) { return packets_[i].seconds; });
  return after == by_time_.begin() ? by_time_.front() : *std::prev(after);
}

size_t VideoPlan::key_before(size_t index) const {
  while (index > 0 && !packets_[index].key) --index;
  return index;
}

std::vector<bool> VideoPlan::needed(const std::vector<size_t>& wanted) const {
  std::vector<bool> needed(packets_.size(), false);
  for (const size_t index : wanted) {
    size_t from = key_before(index);
    if (from > 0 && packets_[index].stamp < packets_[from].stamp) from = key_before(from - 1);
    std::fill(needed.begin() + static_cast<std::ptrdiff_t>(from),
              needed.begin() + static_cast<std::ptrdiff_t>(index) + 1, true);
  }
  return needed;
}

}  // namespace antiphon::media
