#include <launch/stall.h>

#include <fmt/format.h>

#include <antiphon/base/shown.h>

#include <algorithm>

namespace antiphon::apps {
namespace {

double seconds_between(StallWatch::Clock::time_point begin, StallWatch::Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

template <size_t Size>
std::string text_in(const char (&place)[Size]) {
  const auto* end = std::find(place, place + Size, '\0');
  return shown(std::string_view(place, static_cast<size_t>(end - place)), Size);
}

std::string line_of(const Children& children, int index) {
  const auto& page = children.page(index);
  const auto state = children.state(index);
  auto line = fmt::format("process {}, step {}: ", children.first_rank() + index, page.step.load());
  line += page.waits > 0 ? fmt::format("waits for the others in \"{}\"", text_in(page.operation)) : text_in(page.doing);
  if (!state.empty()) line += " (" + state + " by a signal)";
  if (page.waits == 0 && page.samples[0]) line += "; samples: " + text_in(page.samples);
  return line;
}

}  // namespace

std::vector<std::string> StallWatch::look(const Children& children) {
  constexpr double kPatience = 10;
  uint64_t beats = 0;
  int64_t step = 0;
  bool slow = false;
  for (int i = 0; i < children.count(); ++i) {
    const auto& page = children.page(i);
    beats += page.beats, step = std::max(step, page.step.load()), slow |= page.slow > 0;
  }
  const auto now = Clock::now();
  slow_ |= slow;
  if (step != step_) {
    if (first_step_ < 0 || step < step_) first_step_ = step;  // the second: of the next stage
    const bool whole = step > step_ && step_ >= first_step_ && !slow_;
    auto& longest = step_ == first_step_ ? first_seconds_ : longest_step_;
    if (whole) longest = std::max(longest, seconds_between(last_step_, now));
    got_on_ |= step > first_step_;
    step_ = step, last_step_ = now, slow_ = false;
  }
  if (beats != beats_) {
    beats_ = beats, last_beat_ = now;
    return {};
  }
  const double of_step = longest_step_ > 0 ? longest_step_ : first_seconds_;
  const double limit = slow || !got_on() ? kPatience * seconds_ : std::max(seconds_, kPatience * of_step);
  if (seconds_between(last_beat_, now) < limit) return {};
  std::vector<int> order;
  for (int i = 0; i < children.count(); ++i) order.push_back(i);
  std::ranges::stable_sort(order, {}, [&](int i) { return children.page(i).waits > 0; });
  std::vector<std::string> lines{fmt::format("nothing has happened for {:.0f} s", seconds_between(last_beat_, now))};
  for (const int i : order) lines.push_back(line_of(children, i));
  return lines;
}

}  // namespace antiphon::apps
