#include <antiphon/early/cpu_quota.h>

#include <sched.h>

#include <cerrno>
#include <cmath>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace antiphon::early {
namespace {

constexpr int kPath = 4096;

// Calls body(line) for each line of a file, without its end.
template <class Body>
void for_lines(const char* root, const char* path, const Body& body) {
  char name[kPath], line[2 * kPath];
  std::snprintf(name, sizeof name, "%s%s", root, path);
  std::FILE* file = std::fopen(name, "re");
  if (!file) return;
  while (std::fgets(line, sizeof line, file)) {
    line[std::strcspn(line, "\n")] = 0;
    body(line);
  }
  std::fclose(file);
}

// The first number of a file, -1 for "max"; false if there is none.
bool read_number(const char* root, const char* folder, const char* file, double& first, double* second = nullptr) {
  char path[kPath];
  std::snprintf(path, sizeof path, "%s/%s", folder, file);
  bool found = false;
  for_lines(root, path, [&](const char* line) {
    if (found) return;
    const bool most = std::strncmp(line, "max", 3) == 0;
    char* end = nullptr;
    first = most ? -1 : std::strtod(line, &end);
    found = most || end != line;
    if (found && second && end) *second = std::strtod(end, nullptr);
  });
  return found;
}

double tighter(double a, double b) { return b > 0 && (a <= 0 || b < a) ? b : a; }

// The quota that one folder of a hierarchy states, in processors; 0: none.
double quota_of(const char* root, const char* folder, bool second_version) {
  double quota = 0, period = 0;
  if (second_version) {
    if (!read_number(root, folder, "cpu.max", quota, &period)) return 0;
  } else if (!read_number(root, folder, "cpu.cfs_quota_us", quota) ||
             !read_number(root, folder, "cpu.cfs_period_us", period)) {
    return 0;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

// Where a hierarchy is mounted, and which of its folders is seen there: fields 5 and 4 of /proc/self/mountinfo.
struct Mount {
  char point[kPath] = "", root[kPath] = "";
};

bool has_word(const char* list, const char* word) {
  const size_t length = std::strlen(word);
  for (const char* at = list; (at = std::strstr(at, word)); ++at)
    if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',' || at[length] == ' ')) return true;
  return false;
}

Mount find_mount(const char* root, bool second_version) {
  Mount mount;
  for_lines(root, "/proc/self/mountinfo", [&](const char* line) {
    const char* rest = std::strstr(line, " - ");
    char type[64] = "", source[kPath] = "", options[kPath] = "";
    if (mount.point[0] || !rest || std::sscanf(rest, " - %63s %4095s %4095s", type, source, options) < 2) return;
    if (std::strcmp(type, second_version ? "cgroup2" : "cgroup") != 0) return;
    if (!second_version && !has_word(options, "cpu")) return;
    std::sscanf(line, "%*s %*s %*s %4095s %4095s", mount.root, mount.point);
  });
  return mount;
}

// The tightest quota from this process's folder up to the mount.
double walk(const char* root, const char* group, bool second_version) {
  const Mount mount = find_mount(root, second_version);
  if (!mount.point[0]) return 0;
  const size_t seen = std::strcmp(mount.root, "/") == 0 ? 0 : std::strlen(mount.root);
  if (seen && std::strncmp(group, mount.root, seen) == 0) group += seen;
  char folder[2 * kPath];
  std::snprintf(folder, sizeof folder, "%s%s", mount.point, group);
  const size_t top = std::strlen(mount.point);
  double quota = 0;
  for (;;) {
    quota = tighter(quota, quota_of(root, folder, second_version));
    char* last = std::strrchr(folder, '/');
    if (std::strlen(folder) <= top || !last) return quota;
    *last = 0;
  }
}

int allowed_processors(Affinity affinity) {
  // The kernel refuses a set that is smaller than its own, which may be of more than a cpu_set_t's 1,024.
  for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 2) {
    cpu_set_t* allowed = CPU_ALLOC(most);
    if (!allowed) break;
    const size_t bytes = CPU_ALLOC_SIZE(most);
    const int count = affinity(0, bytes, allowed) == 0 ? CPU_COUNT_S(bytes, allowed) : 0;
    const bool larger = count == 0 && errno == EINVAL;
    CPU_FREE(allowed);
    if (count > 0) return count;
    if (!larger) break;
  }
  return 1;
}

}  // namespace

double cpu_quota(const char* root) {
  double quota = 0;
  for_lines(root, "/proc/self/cgroup", [&](char* line) {  // "0::/path" or "4:cpu,cpuacct:/path"
    char* controllers = std::strchr(line, ':');
    char* group = controllers ? std::strchr(controllers + 1, ':') : nullptr;
    if (!group) return;
    *group++ = 0, ++controllers;
    const bool second_version = *controllers == 0;
    if (second_version || has_word(controllers, "cpu")) quota = tighter(quota, walk(root, group, second_version));
  });
  return quota;
}

int processors(double quota, Affinity affinity) {
  const int count = allowed_processors(affinity);
  const double most = std::ceil(quota);
  return most > 0 && most < count ? static_cast<int>(most) : count;
}

}  // namespace antiphon::early
