// Files: whole reads, atomic writes, content hashes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <antiphon/base/error.h>

namespace antiphon {

// The bytes of a file. Errors of `kind` if it is missing, not regular or too large; `preempted` for data if the disk
// fails.
std::string read_file(const std::filesystem::path& path, ErrorKind kind, uint64_t max_bytes = UINT64_MAX);

// Writes a file beside `path`, fsyncs it and renames it over `path`: a reader sees the old or the new content, never a
// part.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes, ErrorKind kind);

// Flushes a file or a directory to the disk.
void sync_path(const std::filesystem::path& path, ErrorKind kind);

// 128-bit XXH3 of the bytes, 32 hexadecimal digits.
std::string content_hash(std::string_view bytes);

}  // namespace antiphon
