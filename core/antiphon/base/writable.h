// Whether results have a place, asked before the work that makes them.
#pragma once
#include <filesystem>

#include <antiphon/base/error.h>

namespace antiphon {

// Error if the file could not be made or written over: something is in its place, or the nearest folder around it that
// is there cannot be written into. What processes left of it that are gone is removed (temporaries.h); nothing else
// changes.
void check_can_write(const std::filesystem::path& file, ErrorKind kind);

}  // namespace antiphon
