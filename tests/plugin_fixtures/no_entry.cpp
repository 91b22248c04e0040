#include "fixture.h"
extern "C" {
__attribute__((visibility("default"))) extern const antiphon_plugin_manifest_t antiphon_plugin_manifest;
const antiphon_plugin_manifest_t antiphon_plugin_manifest = {sizeof(antiphon_plugin_manifest_t),
                                                             ANTIPHON_PLUGIN_ABI,
                                                             "no_entry",
                                                             "0.1.0",
                                                             ANTIPHON_TORCH_VERSION,
                                                             ANTIPHON_COMPILER,
                                                             "1",
                                                             ANTIPHON_BUILD_TYPE};
}
