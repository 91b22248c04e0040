#include "fixture.h"
extern "C" __attribute__((visibility("default"))) void antiphon_plugin_entry(antiphon::plugin::Registrar&) {}
