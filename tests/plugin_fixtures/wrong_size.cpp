#include "fixture.h"
// The manifest of some later antiphon that forgot to raise the ABI number.
extern "C" __attribute__((visibility("default")))
const uint32_t antiphon_plugin_manifest[32] = {128, ANTIPHON_PLUGIN_ABI};
extern "C" __attribute__((visibility("default"))) void antiphon_plugin_entry(antiphon::plugin::Registrar&) {}
