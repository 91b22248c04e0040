#include "fixture.h"
#undef ANTIPHON_PLUGIN_ABI
#define ANTIPHON_PLUGIN_ABI 999
ANTIPHON_PLUGIN(wrong_abi, "0.1.0") { register_fixture(registrar, "wrong_abi"); }
