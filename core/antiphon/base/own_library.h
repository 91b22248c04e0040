// Libraries of Antiphon's own that are opened at run time, because not every machine has what they link.
#pragma once
#include <string>

namespace antiphon {

struct OwnLibrary {
  const void* table = nullptr;  // what its entry point returned
  std::string problem;          // why there is none
};

// Opens the library of this name beside libantiphon.so, for good, and calls its entry point, which takes nothing and
// returns a table.
OwnLibrary open_own_library(const std::string& name, const char* entry);

}  // namespace antiphon
