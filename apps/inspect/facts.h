// What a component is with its default options: sizes and shapes, built on the meta device.
#pragma once
#include <string>
#include <vector>

#include <antiphon/plugin/registry.h>

namespace antiphon::apps {

// Lines for a person; none if the kind has none to tell or the defaults build nothing.
std::vector<std::string> facts_of(const plugin::Entry& entry);

}  // namespace antiphon::apps
