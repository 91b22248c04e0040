// What exists at a path, with the reason if that cannot be determined.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <antiphon/base/error.h>

namespace antiphon {

// Whether the path exists, or is a folder. False if it is missing; an Error with the path and the reason if that cannot
// be determined (a loop of links, a name too long, no permission).
bool path_exists(const std::filesystem::path& path, ErrorKind kind);
bool is_folder(const std::filesystem::path& path, ErrorKind kind);
// Creates the folder and its parents, and flushes the one around it; does nothing if it exists.
void make_folder(const std::filesystem::path& path, ErrorKind kind);

// What lies in the folder, sorted. Error if it cannot be listed.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder, ErrorKind kind);
// Removes the file; does nothing if there is none.
void remove_file(const std::filesystem::path& path, ErrorKind kind);
// Removes the file, or the folder with what lies in it; does nothing if there is none.
void remove_tree(const std::filesystem::path& path, ErrorKind kind);
// Gives it the name `to`, which may be that of a file or of an empty folder: it is replaced.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to, ErrorKind kind);
// Error if a folder, a device, a pipe or a link into /proc (/dev/stdout) has this name: a file that is renamed to it
// would take its place. Other links are replaced.
void check_replaceable(const std::filesystem::path& path, ErrorKind kind);
// The path from the root on. Error if it is empty, or if it is relative and the working directory is gone.
std::filesystem::path absolute_path(const std::filesystem::path& path, ErrorKind kind);
// The path as JSON can hold it. Error if it is not UTF-8.
std::string path_text(const std::filesystem::path& path, ErrorKind kind);

// Flushes the folder that a file was renamed or made in; does nothing if the folder cannot be opened or flushed.
void sync_folder_of(const std::filesystem::path& file, ErrorKind kind);

// "cannot ACTION PATH: REASON" of this errno.
[[noreturn]] void fail_path(ErrorKind kind, std::string_view action, const std::filesystem::path& path, int code);

}  // namespace antiphon
