// Messages to the operator, on stderr; stdout is kept for results.
#pragma once
#include <string_view>

namespace antiphon::log {

enum class Level { debug, info, warning, error };

// Messages below this level are dropped. Default: info.
void set_level(Level level);
void message(Level level, std::string_view text);

inline void debug(std::string_view text) { message(Level::debug, text); }
inline void info(std::string_view text) { message(Level::info, text); }
inline void warning(std::string_view text) { message(Level::warning, text); }
inline void error(std::string_view text) { message(Level::error, text); }

}  // namespace antiphon::log
