// Data sources and record formats: one by its name, or all that are installed. Used inside this area.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <antiphon/model/slot.h>
#include <antiphon/plugin/loader.h>

namespace antiphon::data {

inline constexpr const char* kAuto = "auto";

template <class Interface>
struct Named {
  std::string name;
  std::unique_ptr<Interface> component;
};

// Error(config) with all problems of the options; Error(plugin) if there is no such component.
template <class Interface>
Named<Interface> built(const std::string& name, config::Value options, const std::string& section) {
  config::Problems problems;
  auto component = model::build_slot<Interface>(name, {}, options, section, problems);
  problems.throw_if_any();
  return {name, std::move(component)};
}

// With the options' defaults.
template <class Interface>
std::vector<Named<Interface>> installed() {
  std::vector<Named<Interface>> all;
  for (const auto& name : plugin::component_names(KindOf<Interface>::name))
    all.push_back(built<Interface>(name, config::Value(config::Value::Table{}), name));
  return all;
}

}  // namespace antiphon::data
