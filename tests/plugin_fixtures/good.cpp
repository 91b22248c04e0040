#include "fixture.h"
ANTIPHON_PLUGIN(good, "0.1.0") { register_fixture(registrar, "good"); }
