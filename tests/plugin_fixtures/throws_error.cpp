#include <antiphon/base/error.h>

#include "fixture.h"
ANTIPHON_PLUGIN(throws_error, "0.1.0") {
  register_fixture(registrar, "throws_error");
  antiphon::fail(antiphon::ErrorKind::config, "no table", "write one");
}
