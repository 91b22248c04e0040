// `antiphon` as it is called: makes the settings that must stand before the OpenMP library is loaded, and becomes the
// program. It links neither LibTorch nor libantiphon, so this takes about a millisecond.
#include <unistd.h>

#include <antiphon/early/settings.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

// The program's path, relative to where this file is.
std::string program() {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0) return {};
  const std::string path(self, static_cast<size_t>(length));
  return path.substr(0, path.rfind('/') + 1) + ANTIPHON_PROGRAM;
}

}  // namespace

int main(int, char** argv) {
  antiphon::early::settle_openmp();
  const auto path = program();
  execv(path.c_str(), argv);
  std::fprintf(stderr, "error: cannot start %s: %s\n  fix: install Antiphon again, all of it\n", path.c_str(),
               std::strerror(errno));
  return 1;
}
