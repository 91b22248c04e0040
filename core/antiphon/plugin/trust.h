// Who could have written a plugin: its code runs with the user's permissions.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::plugin {

// The file, its sidecar and the folders that hold them must belong to root, to the user, or to the owner of this
// program's library, and nobody else may write there: neither everybody nor a group that none of the three is in.
// Error(plugin) that names the place and the fix. A file in a folder of $ANTIPHON_TRUST_PLUGINS (colon-separated) is
// accepted anyway; then the result says what is wrong, else it is empty. Access control lists are not read.
std::string check_trust(const std::filesystem::path& file);

// The file of libantiphon.
std::filesystem::path library_file();

}  // namespace antiphon::plugin
