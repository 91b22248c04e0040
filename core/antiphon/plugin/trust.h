// Who could have written a plugin: its code runs with all that the user may do.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::plugin {

// The file, its sidecar and the folders that hold them must belong to root, to the user, or to the owner of this
// program's library, and nobody else may write there: not everybody, and no group that none of the three is in.
// Error(plugin) that names the place and the mend. What lies in a folder of $ANTIPHON_TRUST_PLUGINS (colon-separated)
// is taken all the same; then the result says what is wrong, else it is empty. Access control lists are not read.
std::string check_trust(const std::filesystem::path& file);

// The file of libantiphon.
std::filesystem::path library_file();

}  // namespace antiphon::plugin
