// Who could have written a plugin: its code runs with the user's permissions.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::plugin {

// The file, its sidecar, the folders that hold them and all folders above those must belong to root, to the user, or to
// an owner of this program's library or of a folder on the way to it, and nobody else may write there: neither
// everybody nor a group that none of these is in. A folder above in which only owners may move what is theirs (the
// sticky bit: /tmp) is good, and so is one that leads to the library, too. Error(plugin) that names the place and the
// fix. A file in a folder of $ANTIPHON_TRUST_PLUGINS (colon-separated) is accepted anyway; then the result says what is
// wrong, else it is empty. Access control lists are not read.
std::string check_trust(const std::filesystem::path& file);

// The file of libantiphon.
std::filesystem::path library_file();

}  // namespace antiphon::plugin
