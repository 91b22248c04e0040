// A configuration as a list of keys and values.
#pragma once
#include <map>
#include <string>

#include <antiphon/config/value.h>

namespace antiphon::config {

// "train.optimizer.lr" -> "0.0002"; of lists "data.train.sources.0.path". Empty lists, tables and texts are left out.
std::map<std::string, std::string> flat_config(const Value& value);

}  // namespace antiphon::config
