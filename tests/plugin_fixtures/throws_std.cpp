#include <stdexcept>

#include "fixture.h"
ANTIPHON_PLUGIN(throws_std, "0.1.0") {
  register_fixture(registrar, "throws_std");
  throw std::out_of_range("too far");
}
