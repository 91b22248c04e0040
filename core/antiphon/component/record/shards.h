// Data sets of several files: their names out of one pattern.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace antiphon::records {

// Whether the path stands for several files: "{0..9}", "{a,b}", NeMo's "_OP_0..9_CL_", or '*' in its last part. A file
// of that very name is not a pattern.
bool is_pattern(const std::filesystem::path& path);

// The files of a pattern in its order ('*': sorted by name), or the path itself if it is none. "{000..012}" keeps its
// zeros, as bash and WebDataset have it. Error(data) if braces do not close or stand for more than 2^20 names, or if
// nothing matches. Whether the files are there is not looked at, but for '*'.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& pattern);

}  // namespace antiphon::records
