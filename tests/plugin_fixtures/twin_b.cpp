#include "fixture.h"
ANTIPHON_PLUGIN(twin_b, "0.2.0") {
  register_fixture(registrar, "another");
  register_fixture(registrar, "twin");
}
