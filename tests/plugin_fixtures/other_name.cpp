#include "fixture.h"
ANTIPHON_PLUGIN(some_name, "0.1.0") { register_fixture(registrar, "other_name"); }
