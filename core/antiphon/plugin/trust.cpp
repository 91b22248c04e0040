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
    // Who owns the library, or a folder on the way to it, can change this program anyway: a build that root runs, a
    // mount of another machine.
    for (fs::path place = library_file(); !place.empty(); place = place.parent_path()) {
      struct stat found {};
      if (::stat(place.c_str(), &found) == 0) made->users.insert(found.st_uid), made->groups.insert(found.st_gid);
      if (place == place.parent_path()) break;
    }
    return made;
  }();
  return *all;
}

struct Doubt {
  std::string why, mend;
};

Doubt doubt_of(const fs::path& path, bool only_leads_there) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return {};  // a missing file is reported by the code that needs it
  const std::string name = path.string();
  // What lies in a folder like /tmp, only its owner can move away; that is checked where it lies.
  const bool sticky = only_leads_there && (found.st_mode & S_ISVTX);
  if (!trusted().users.contains(found.st_uid))
    return {
        fmt::format("{} belongs to user {}, who is neither root nor you (user {})", name, found.st_uid, ::geteuid()),
        fmt::format("copy the plugin into a folder of your own, or chown {} if you know where it is from", name)};
  if (sticky) return {};
  if (found.st_mode & S_IWOTH)
    return {fmt::format("everybody may write to {} (mode {:o})", name, found.st_mode & 07777), "chmod o-w " + name};
  if ((found.st_mode & S_IWGRP) && !trusted().groups.contains(found.st_gid))
    return {fmt::format("group {}, which you are not in, may write to {} (mode {:o})", found.st_gid, name,
                        found.st_mode & 07777),
            "chmod g-w " + name};
  return {};
}

struct Place {
  fs::path path;
  bool only_leads_there = false;  // a folder above the one that holds the file
};

// By its own name and by what links lead to: the file, its sidecar, their folders and all folders above. Those that
// lead to this program's library, too, tell nothing: who can move them can change the program anyway.
std::vector<Place> places_of(const fs::path& file) {
  std::vector<Place> places;
  const auto library = library_file();
  const auto leads_to_library = [&](const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), library.begin(), library.end()).first == folder.end();
  };
  const auto add = [&](const fs::path& path, bool above) {
    const auto same = [&](const Place& place) { return place.path == path; };
    if (!path.empty() && std::none_of(places.begin(), places.end(), same)) places.push_back({path, above});
  };
  for (auto path : {file, fs::path(file).replace_extension(".toml")}) {
    std::error_code ignored;
    for (const auto& end : {fs::absolute(path, ignored), fs::weakly_canonical(path, ignored)}) {
      add(end, false);
      auto folder = end.parent_path();
      add(folder, false);
      while (folder != folder.parent_path() && !leads_to_library(folder.parent_path()))
        add(folder = folder.parent_path(), true);
    }
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
  for (const auto& [place, only_leads_there] : places_of(file)) {
    const auto doubt = doubt_of(place, only_leads_there);
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
