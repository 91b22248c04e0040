// The name of this machine.
#pragma once
#include <string>

namespace antiphon {

std::string host_name();  // "?" if it has none

}  // namespace antiphon
