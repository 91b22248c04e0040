#include <fit/taken.h>

#include <fmt/format.h>

#include <antiphon/base/log.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>

namespace antiphon::apps {
namespace {

// Sizes that the kernel says of a process, in the order of the keys; 0 of one that has ended.
std::vector<double> bytes_of(pid_t process, const char* file, const std::vector<std::string>& keys) {
  std::vector<double> sizes(keys.size());
  std::ifstream in(fmt::format("/proc/{}/{}", process, file));
  std::string line;
  while (std::getline(in, line))
    for (size_t i = 0; i < keys.size(); ++i)
      if (line.starts_with(keys[i])) sizes[i] = 1024 * std::strtod(line.c_str() + keys[i].size(), nullptr);
  return sizes;
}

double largest_size_of(pid_t process) { return bytes_of(process, "status", {"VmHWM:"})[0]; }

void warn_of_shares() {
  static const bool told = [] {
    log::warning(
        "the kernel does not say what the processes hold in common (/proc/PID/smaps_rollup), so that counts in each of "
        "them and sizes are overestimated\n  fix: run where that file can be read, or give --memory more than there "
        "is");
    return true;
  }();
  static_cast<void>(told);
}

// What of the process's memory others count; nullopt: it has ended.
std::optional<double> counted_elsewhere(pid_t process) {
  const auto sizes = bytes_of(process, "smaps_rollup", {"Rss:", "Pss:"});
  if (sizes[1] > 0) return sizes[0] - sizes[1];
  if (largest_size_of(process) == 0) return std::nullopt;
  warn_of_shares();
  return 0;
}

}  // namespace

void Taken::look(const Children& children, bool last) {
  constexpr auto kPause = std::chrono::milliseconds(250);  // the kernel walks all pages, 20 ms a GiB
  for (int i = 0; i < children.count(); ++i) {
    auto& largest = largest_[static_cast<size_t>(i)];
    const double size = children.pid(i) > 0 ? largest_size_of(children.pid(i)) : 0;
    grown_ |= size > largest;
    largest = std::max(largest, size);
  }
  const bool alone = children.count() == 1;
  if (!grown_ || !(alone || last || Clock::now() >= next_)) return;
  // What one maps becomes less of the others', so all are looked at.
  for (int i = 0; i < children.count(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (children.pid(i) <= 0) continue;
    if (const auto elsewhere = alone ? std::optional(0.0) : counted_elsewhere(children.pid(i)))
      own_[at] = std::max(0.0, largest_[at] - *elsewhere);
  }
  most_ = std::max(most_, std::accumulate(own_.begin(), own_.end(), 0.0));
  grown_ = false, next_ = Clock::now() + kPause;
}

int Taken::where() const { return static_cast<int>(std::ranges::max_element(own_) - own_.begin()); }

}  // namespace antiphon::apps
