// `antiphon` as it is called: answers --help and --version from what the build kept, else makes the settings that must
// be in place before the OpenMP library is loaded, refuses what loading would fail at, and becomes the program. It
// links neither LibTorch nor libantiphon, so this takes about a millisecond.
#include <sys/stat.h>
#include <unistd.h>

#include <antiphon/early/settings.h>
#include <antiphon/early/stop_signals.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// The path of what lies at `place`, relative to this file.
std::string beside(const char* place) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0) return {};
  const std::string path(self, static_cast<size_t>(length));
  return path.substr(0, path.rfind('/') + 1) + place;
}

// The file that holds the answer: "train --help" is in train--help; "" if no help is asked for.
std::string help_name(int argc, char** argv) {
  if (argc < 2 || (std::strcmp(argv[argc - 1], "--help") != 0 && std::strcmp(argv[argc - 1], "-h") != 0)) return {};
  std::string name;
  for (int i = 1; i < argc - 1; ++i) {
    if (std::strspn(argv[i], "abcdefghijklmnopqrstuvwxyz") != std::strlen(argv[i])) return {};
    name += (i > 1 ? "_" : "") + std::string(argv[i]);
  }
  return name + "--help";
}

// Prints what the program wrote into help/ beside it when it was built. False if there is no such file, or it is older
// than the program, or cannot be printed: then the program itself answers.
bool print_kept(const std::string& program, const std::string& name) {
  const auto path = program.substr(0, program.rfind('/') + 1) + "help/" + name;
  struct stat kept {
  }, whole{};
  if (stat(path.c_str(), &kept) != 0 || stat(program.c_str(), &whole) != 0 || kept.st_mtime < whole.st_mtime)
    return false;
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (!file) return false;
  std::string text(static_cast<size_t>(kept.st_size), '\0');
  const bool read = std::fread(text.data(), 1, text.size(), file) == text.size();
  std::fclose(file);
  return read && std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

// The list of plugins is read from files beside them.
bool lists_plugins(int argc, char** argv) {
  return (argc == 2 || (argc == 3 && std::strcmp(argv[2], "--json") == 0)) && std::strcmp(argv[1], "inspect") == 0;
}

// Under its own name, by which it finds what lies beside it. Returns if it cannot be started: the program lists, too.
void become_lister(int argc, char** argv) {
  auto lister = beside(ANTIPHON_LISTER);
  char* words[] = {lister.data(), argv[1], argc == 3 ? argv[2] : nullptr, nullptr};
  execv(lister.c_str(), words);
}

// What only starts processes and watches them. Returns if it cannot be started: the program launches, too.
void become_launch(char** argv) { execv(beside(ANTIPHON_LAUNCH).c_str(), argv); }

// A training that is asked to stop ends with the exit code for it, so signals that come while its libraries are loaded
// wait for its handlers. Any word may be the command's name, since options may stand before it; the program lets the
// signals through, whatever it does.
bool may_train(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::strcmp(argv[i], "train") == 0) return true;
  return false;
}

// oneMKL, as it is loaded, ends a process that has none.
bool has_working_directory() {
  char* here = getcwd(nullptr, 0);
  const bool found = here != nullptr;
  std::free(here);
  return found;
}

int refuse(const std::string& what, const char* fix, int code) {
  std::fprintf(stderr, "error: %s: %s\n  fix: %s\n", what.c_str(), std::strerror(errno), fix);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  if (may_train(argc, argv)) antiphon::early::hold_stop_signals();
  const auto path = beside(ANTIPHON_PROGRAM);
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0 && std::puts("antiphon " ANTIPHON_VERSION) >= 0 &&
      std::fflush(stdout) == 0)
    return 0;
  if (const auto name = help_name(argc, argv); !name.empty() && print_kept(path, name)) return 0;
  if (!has_working_directory())
    return refuse("config error: the working directory cannot be used", "change into one that is there", 2);
  if (lists_plugins(argc, argv)) become_lister(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], "launch") == 0) become_launch(argv);
  antiphon::early::settle();
  execv(path.c_str(), argv);
  return refuse("cannot start " + path, "install Antiphon again, all of it", 1);
}
