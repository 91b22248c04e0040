// What the small plugins here register.
#pragma once
#include <antiphon/plugin/manifest.h>

struct FixtureOptions {
  int64_t width = 3;
};

inline const antiphon::config::Schema& fixture_table() {
  using antiphon::config::Table;
  static const auto* table =
      new Table<FixtureOptions>(Table<FixtureOptions>("fixture").field("width", &FixtureOptions::width, "width"));
  return *table;
}

inline void register_fixture(antiphon::plugin::Registrar& registrar, const char* name) {
  registrar.add("encoder", name, "a fixture", fixture_table(), 42);
}
