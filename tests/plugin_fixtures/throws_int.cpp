#include "fixture.h"
ANTIPHON_PLUGIN(throws_int, "0.1.0") {
  register_fixture(registrar, "throws_int");
  throw 7;
}
