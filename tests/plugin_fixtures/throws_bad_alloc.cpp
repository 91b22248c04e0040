#include <new>

#include "fixture.h"
ANTIPHON_PLUGIN(throws_bad_alloc, "0.1.0") {
  register_fixture(registrar, "throws_bad_alloc");
  throw std::bad_alloc();
}
