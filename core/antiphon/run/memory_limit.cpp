#include <antiphon/run/memory_limit.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace antiphon::run {
namespace {

// The number after `key` in a file of lines "key number"; of an empty key the file's first word. Nothing for "max".
std::optional<double> number_in(const std::string& file, const std::string& key = "") {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    const auto& text = key.empty() ? first : second;
    if (!key.empty() && first != key) continue;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return end != text.c_str() ? std::optional(value) : std::nullopt;
  }
  return std::nullopt;
}

// As each version names them.
struct Files {
  const char *mount, *limit, *held, *reclaimable;
};
constexpr Files kSecond{"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
constexpr Files kFirst{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                       "total_inactive_file"};

void tighten(MemoryLimit& limit, double bytes, const std::string& reason) {
  if (bytes < limit.bytes) limit = {std::max(0.0, bytes), reason};
}

// Of a group and of those above it, up to where the hierarchy is mounted: a container sees its own group there.
void look_at(MemoryLimit& limit, const std::string& root, const Files& files, std::string group) {
  for (;;) {
    const auto folder = root + files.mount + group;
    const auto most = number_in(folder + "/" + files.limit), held = number_in(folder + "/" + files.held);
    const double reclaimable = number_in(folder + "/memory.stat", files.reclaimable).value_or(0);
    if (most && held)
      tighten(limit, *most - *held + reclaimable,
              fmt::format("what the cgroup {} has left", group.empty() ? "/" : group));
    if (group.empty()) return;
    group.erase(group.rfind('/'));
  }
}

}  // namespace

MemoryLimit memory_limit(const std::string& root) {
  MemoryLimit limit{HUGE_VAL, ""};
  if (const auto kib = number_in(root + "/proc/meminfo", "MemAvailable:"))
    limit = {*kib * 1024, "free memory of this machine"};
  std::ifstream in(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {  // "0::/path" or "4:memory:/path"
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    auto group = line.substr(second + 1);
    if (!group.starts_with('/') || group == "/") group.clear();
    if (controllers == ",,") look_at(limit, root, kSecond, group);
    if (controllers.find(",memory,") != std::string::npos) look_at(limit, root, kFirst, group);
  }
  if (std::isinf(limit.bytes))
    fail(ErrorKind::internal, "the kernel does not say how much memory is free", "give --memory GiB");
  return limit;
}

}  // namespace antiphon::run
