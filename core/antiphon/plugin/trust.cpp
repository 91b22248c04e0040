#include <antiphon/plugin/trust.h>

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <vector>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>

#include <fmt/format.h>

namespace antiphon::plugin {
namespace {

namespace fs = std::filesystem;

struct Trusted {
  std::set<uid_t> users{0, ::geteuid()};
  std::set<gid_t> groups{0, ::getegid()};
};

const Trusted& trusted() {
  static const auto* all = [] {
    auto* made = new Trusted;
    std::vector<gid_t> own(static_cast<size_t>(std::max(0, ::getgroups(0, nullptr))));
    const int count = ::getgroups(static_cast<int>(own.size()), own.data());
    for (int i = 0; i < count; ++i) made->groups.insert(own[static_cast<size_t>(i)]);
    struct stat library {};
    // The owner of the library can change this program anyway: a build that root runs, a mount of another machine.
    if (::stat(library_file().c_str(), &library) == 0)
      made->users.insert(library.st_uid), made->groups.insert(library.st_gid);
    return made;
  }();
  return *all;
}

struct Doubt {
  std::string why, mend;
};

Doubt doubt_of(const fs::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return {};  // a missing file is reported by the code that needs it
  const std::string name = path.string();
  if (!trusted().users.contains(found.st_uid))
    return {
        fmt::format("{} belongs to user {}, who is neither root nor you (user {})", name, found.st_uid, ::geteuid()),
        fmt::format("copy the plugin into a folder of your own, or chown {} if you know where it is from", name)};
  if (found.st_mode & S_IWOTH)
    return {fmt::format("everybody may write to {} (mode {:o})", name, found.st_mode & 07777), "chmod o-w " + name};
  if ((found.st_mode & S_IWGRP) && !trusted().groups.contains(found.st_gid))
    return {fmt::format("group {}, which you are not in, may write to {} (mode {:o})", found.st_gid, name,
                        found.st_mode & 07777),
            "chmod g-w " + name};
  return {};
}

// By its own name and by what links lead to, with its sidecar and their folders.
std::vector<fs::path> places_of(const fs::path& file) {
  std::vector<fs::path> places;
  for (auto path : {file, fs::path(file).replace_extension(".toml")}) {
    std::error_code ignored;
    const auto target = fs::weakly_canonical(path, ignored);
    for (const auto& each : {path, fs::absolute(path, ignored).parent_path(), target, target.parent_path()})
      if (!each.empty() && std::find(places.begin(), places.end(), each) == places.end()) places.push_back(each);
  }
  return places;
}

bool is_accepted(const fs::path& file) {
  const char* given = std::getenv("ANTIPHON_TRUST_PLUGINS");
  std::error_code ignored;
  for (const auto& folder : split(given ? given : "", ':'))
    if (!folder.empty() && fs::equivalent(folder, fs::absolute(file, ignored).parent_path(), ignored)) return true;
  return false;
}

}  // namespace

fs::path library_file() {
  Dl_info info{};
  std::error_code ignored;
  if (::dladdr(reinterpret_cast<const void*>(&check_trust), &info) == 0) return {};
  return fs::weakly_canonical(info.dli_fname, ignored);
}

std::string check_trust(const fs::path& file) {
  for (const auto& place : places_of(file)) {
    const auto doubt = doubt_of(place);
    if (doubt.why.empty()) continue;
    if (is_accepted(file)) return doubt.why;
    std::error_code ignored;
    fail(ErrorKind::plugin,
         fmt::format("{}: {}, so somebody else could have written this plugin", file.string(), doubt.why),
         fmt::format("{}; or take it all the same: ANTIPHON_TRUST_PLUGINS={}", doubt.mend,
                     fs::absolute(file, ignored).parent_path().string()));
  }
  return {};
}

}  // namespace antiphon::plugin
