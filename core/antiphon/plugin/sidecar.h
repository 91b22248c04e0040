// The text file NAME.toml beside NAME.so, and what must agree between a plugin and this program.
#pragma once
#include <filesystem>
#include <string>

#include <antiphon/plugin/loader.h>

namespace antiphon::plugin {

// What this program is: abi, torch, compiler, cxx_abi and build are set.
const Description& this_build();

// Reads NAME.toml beside `file`; `file` is set, refusal is not. Error(plugin) if it is missing, wrong, for another
// build than this one, or for another name than the file's.
Description read_sidecar(const std::filesystem::path& file);

// Error(plugin) that names all of abi, torch, compiler, cxx_abi and build in which `theirs` differs from this program.
void check_build(const Description& theirs);
// Error(plugin) if the file is not the one that the sidecar was written for. Reads all of it.
void check_content(const Description& sidecar);
// The name must be the file's, since components are found by it.
void check_name(const Description& theirs);
// Error(plugin) if the binary disagrees with its sidecar.
void check_agreement(const Description& sidecar, const Description& binary);

}  // namespace antiphon::plugin
