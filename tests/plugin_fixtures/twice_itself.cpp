#include "fixture.h"
ANTIPHON_PLUGIN(twice_itself, "0.1.0") {
  register_fixture(registrar, "twice_itself");
  register_fixture(registrar, "twice_itself");
}
