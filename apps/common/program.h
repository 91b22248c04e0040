// This program, to be started again.
#pragma once
#include <string>

namespace antiphon::apps {

// The path of the program that people call, which makes the settings that must be in place before libraries are loaded.
std::string program_path();

}  // namespace antiphon::apps
