// Where the bytes of a picture, a sound or a video are.
#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <antiphon/component/media_item.h>

namespace antiphon {

// A file, a member of an archive, bytes in memory, or what is made of others when it is read. A value; copies share
// what is in memory.
class MediaBytes {
 public:
  MediaBytes() = default;
  // A file.
  template <std::convertible_to<std::filesystem::path> Path>
  MediaBytes(Path&& path) : path_(std::forward<Path>(path)) {}
  // `size` bytes of an archive, uncompressed, from `offset` on; `name` is what the archive calls them.
  static MediaBytes member(std::filesystem::path archive, uint64_t offset, uint64_t size, std::string name);
  // `name` says in messages what they are; its extension counts as a file's does.
  static MediaBytes memory(std::string bytes, std::string name);
  // What `make` gives, the same each time, from any thread: a mixture of sounds. `key` says of what it is made, and
  // how.
  static MediaBytes made(std::function<std::string()> make, std::string key, std::string name);

  // Error(data) if they are missing, more than `max_bytes`, or if the time of the sample is over (SampleTime);
  // Error(preempted) if the disk fails.
  std::string read(uint64_t max_bytes) const;
  // What messages call them: "cat.png", "shard-0.tar: cat.png", "data:image/png (3.1 KiB)".
  std::string name() const;
  // As the name has it: ".png", or nothing.
  std::string extension() const;
  // Set if they are a file of their own.
  std::filesystem::path file() const { return is_file() ? path_ : std::filesystem::path(); }
  bool is_file() const { return !memory_ && !make_ && size_ == kWhole; }
  // Equal if the bytes are the same by where they are; those in memory by what they are.
  std::string key() const;
  bool operator==(const MediaBytes& other) const { return key() == other.key(); }

 private:
  std::filesystem::path path_;
  std::string name_;
  static constexpr uint64_t kWhole = UINT64_MAX;
  uint64_t offset_ = 0, size_ = kWhole;
  std::shared_ptr<const std::string> memory_;
  std::function<std::string()> make_;
  std::string made_key_;
};

// Whether the text is a data: URL (RFC 2397), whatever it holds.
bool is_data_url(std::string_view text);
// The bytes of "data:image/png;base64,…". Error(data) if they are not base64, or if the type is of another modality.
MediaBytes from_data_url(std::string_view url, Modality modality);

}  // namespace antiphon
