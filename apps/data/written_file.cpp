#include <data/written_file.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace antiphon::apps {
namespace {

// What the bytes are, for media that have no file name; empty if it is not known.
std::string extension_of(std::string_view bytes) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kinds{{{"\x89PNG", ".png"},
                                                                                 {"\xff\xd8\xff", ".jpg"},
                                                                                 {"GIF8", ".gif"},
                                                                                 {"BM", ".bmp"},
                                                                                 {"II*", ".tif"},
                                                                                 {"MM", ".tif"},
                                                                                 {"fLaC", ".flac"},
                                                                                 {"OggS", ".ogg"},
                                                                                 {"ID3", ".mp3"},
                                                                                 {"\xff\xfb", ".mp3"},
                                                                                 {"\x1a\x45\xdf\xa3", ".mkv"},
                                                                                 {"\xff\xf1", ".aac"}}};
  if (bytes.starts_with("RIFF")) return bytes.substr(0, 12).ends_with("WEBP") ? ".webp" : ".wav";
  if (bytes.size() > 4 && bytes.substr(4).starts_with("ftyp")) return ".mp4";
  const auto* kind = std::ranges::find_if(kinds, [&](const auto& one) { return bytes.starts_with(one.first); });
  return kind == kinds.end() ? "" : std::string(kind->second);
}

}  // namespace

std::string extension_for(const MediaRef& ref, std::string_view bytes) {
  const auto own = ref.bytes.extension();
  const bool plain = own.size() >= 3 && own.size() <= 5 &&
                     std::all_of(own.begin() + 1, own.end(), [](unsigned char c) { return std::isalnum(c); });
  const auto found = plain ? own : extension_of(bytes);
  if (found.empty())
    fail(ErrorKind::data,
         fmt::format("'{}' has no extension, and its bytes do not say what it is", shown(ref.bytes.name())));
  return found;
}

void check_new(const std::filesystem::path& path) {
  if (path_exists(path, ErrorKind::config))
    fail(ErrorKind::config, shown(path.string()) + " is there already", "name another file, or remove it first");
}

std::filesystem::path temporary_of(const std::filesystem::path& path) { return path.string() + ".part"; }

Out::Out(const std::filesystem::path& path) : path_(path), file_(path, std::ios::binary) { check(); }

void Out::write(std::string_view bytes) {
  file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  check();
}

void Out::close() {
  file_.close();
  check();
}

void Out::check() {
  if (!file_) fail_path(ErrorKind::config, "write", path_, errno);
}

}  // namespace antiphon::apps
