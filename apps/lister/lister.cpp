// `antiphon inspect` and `antiphon inspect --json` without LibTorch, by a program that lies beside libantiphon.so:
// plugins are found from there. What it cannot do, it leaves to the whole program, which says why.
#include <unistd.h>

#include <cstring>
#include <exception>
#include <filesystem>

#include <antiphon/base/standard_streams.h>
#include <inspect/list.h>

int main(int argc, char** argv) {
  antiphon::open_standard_streams();
  try {
    const int code = antiphon::apps::list_plugins(argc == 3 && std::strcmp(argv[2], "--json") == 0);
    antiphon::flush_stdout();
    return code;
  } catch (const std::exception&) {
    std::error_code ignored;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    execv((folder / ANTIPHON_PROGRAM).c_str(), argv);
    return 1;
  }
}
