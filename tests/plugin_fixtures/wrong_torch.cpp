#include "fixture.h"
#undef ANTIPHON_TORCH_VERSION
#define ANTIPHON_TORCH_VERSION "1.9.1"
ANTIPHON_PLUGIN(wrong_torch, "0.1.0") { register_fixture(registrar, "wrong_torch"); }
