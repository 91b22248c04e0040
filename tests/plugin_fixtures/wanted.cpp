#include "fixture.h"
ANTIPHON_PLUGIN(wanted, "0.1.0") { register_fixture(registrar, "wanted"); }
