// Files as they are called before they are renamed to what they shall be: NAME.tmp-PROCESS-NUMBER.
#pragma once
#include <chrono>
#include <filesystem>

#include <antiphon/base/error.h>

namespace antiphon {

// Removes the file if it is one of them, or those in the folder and in all folders in it, if nothing was written to it
// for so long: killed processes left it. How many there were; none if there is no such path. Error(kind) if one cannot
// be removed.
size_t remove_temporaries(const std::filesystem::path& path, std::chrono::seconds age, ErrorKind kind);

// Likewise those in the folder alone whose names begin so, if the process that made them is no longer here and nothing
// was written to them for a minute. What cannot be listed or removed stays.
void remove_abandoned(const std::filesystem::path& folder, const std::string& beginning = "");

}  // namespace antiphon
