// antiphon_seal NAME.so [SIDECAR]: writes NAME.toml, the sidecar (default: what stands there) with the hash of NAME.so.
#include <cstdio>
#include <filesystem>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>

using namespace antiphon;

int main(int argc, char** argv) {
  try {
    if (argc != 2 && argc != 3) fail(ErrorKind::config, "antiphon_seal NAME.so [SIDECAR]");
    const std::filesystem::path file = argv[1];
    const auto sidecar = std::filesystem::path(file).replace_extension(".toml");
    std::string text;
    for (const auto& line : split(read_file(argc == 3 ? argv[2] : sidecar, ErrorKind::plugin), '\n'))
      if (!line.empty() && !line.starts_with("xxh3 ")) text += line + "\n";
    text += "xxh3 = \"" + content_hash(read_file(file, ErrorKind::plugin)) + "\"\n";
    write_file_atomic(sidecar, text, ErrorKind::plugin);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "antiphon_seal: %s\n", error.what());
    return static_cast<int>(error.kind());
  }
}
