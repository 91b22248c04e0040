#include "fixture.h"
ANTIPHON_PLUGIN(twin_a, "0.1.0") { register_fixture(registrar, "twin"); }
