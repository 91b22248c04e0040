#include "fixture.h"
ANTIPHON_PLUGIN(other_component, "0.1.0") { register_fixture(registrar, "something_else"); }
